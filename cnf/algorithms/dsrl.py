"""DSRL: a bounded policy in the noise space of a flow-matching decoder.

"Steering Your Diffusion Policy with Latent Space Reinforcement Learning" (Wagenmaker et al.,
2025), the noise-aliased variant DSRL-NA (algorithm 1).

    decoder   min  |v(s, x_t, t) - (a - x_0)|²,  a = decode(s, w) from noise w
              (shared/models/flow_matching.py)
    critics   a' = decode'(s', w'),  w' ~ pi(w|s')
              y = r + discount (1 - terminal) (mean_i Q'_i(s', a') - rho · std_i Q'_i(s', a'))
              min  sum_i (Q_i(s, a) - y)²
    latent    w ~ N(0, I):  min  (Qw(s, w) - mean_i Q_i(s, decode'(s, w)))²
    actor     min  alpha log pi(w|s) - Qw(s, w),  w ~ pi(·|s) inside 0 ± noise_scale
    alpha     min  -log alpha (log pi(w|s) + target entropy),  target entropy = -n / 2
    targets   Q' <- (1 - tau) Q' + tau Q;  decode' likewise, while the decoder is trained

decode = `decoder`, decode' = `target_decoder`, pi = `actor`, Q = `critic`, Q' = `target_critic`,
Qw = `latent_critic`.  No gradient passes through the decoder: the actor asks Qw alone, so that a
frozen policy of somebody else can be steered as well.

The decoder is trained beside the policy (`decoder_beside`, as the public code does), or first and
then frozen (`decoder_steps`); frozen, it serves other policies (`--model`).  Or it is a policy that
somebody else trained (`--decoder FILE`, shared/models/foreign_decoder.py), which is given as in the
paper; its noise may be longer or shorter than an action.

A box also ends what fine-tuning can reach.  Three ways out, ours, all off by default:

    edit_scale       an editor moves the decoded action by at most edit_scale (cnf/editor.py), and
                     Q and Qw judge what it makes of it
    online_decoder   online the decoder learns, too, from actions that are worth more than its own:
                     min  1[Q(s, a) > Q(s, decode'(s, w))] · (matching),  w ~ N(0, I)
                     so the box moves with it to what did well
    online_widening  online the half width grows by as much an update, from noise_scale to
                     widest_box at most, while the critics disagree less at the box's edge than
                     on data (cnf/widening.py)

Differences from the paper: it steers diffusion policies that are given; here the decoder is
trained on the same data.  Ensemble, pessimism rho and the target entropy are those of the public
reimplementation in QAM's code (Li et al., 2026), whose box `noise_scale` is tuned by domain.
Log pi is taken on the position in the box, so that a wider box earns no entropy.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.editor import Editor
from cnf.exploration import online_phase
from cnf.rewards import reward_scale, scaled, unit
from cnf.widening import disagreement, edge_noise, widened
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, Reusable, hyperparameter
from shared.errors import ConfigError
from shared.models.flow_matching import FlowMatching, draw_matching, matching_loss
from shared.models.foreign_decoder import ForeignDecoder
from shared.models.latent_actions import AbstractLatentActionSpace
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy
from shared.ranges import Amount, Count, Positive, Rate, Real, Share, Size, Sizes
from shared.types import is_zero

REUSABLE = Reusable(
    "decoder",
    "decoder_steps",
    ("normalizer", "decoder", "target_decoder"),
    ("flow_hidden_sizes", "flow_steps", "decoder_batch_size", "decoder_learning_rate")
    + ("normalize_observations",),
)


class State(NamedTuple):
    """Everything that DSRL remembers."""

    normalizer: Normalizer
    decoder: Learner
    target_decoder: AbstractLatentActionSpace
    actor: Learner
    critic: Learner
    target_critic: Critics
    latent_critic: Learner
    log_alpha: Learner
    reward_scale: Float[Array, ""] | None
    editor: Editor | None
    widening: Float[Array, ""] | None


class DSRL(AbstractAlgorithm):
    """Diffusion steering by reinforcement learning; fields are the hyperparameters."""

    decoder: str | None = hyperparameter(
        "file (.onnx, .stablehlo) of a frozen policy that decodes; null = one trained on the data"
    )
    decoder_range: tuple[Real, ...] | None = hyperparameter(
        "lowest and highest answer of that file, a pair a motor; null = what it declares, or -1, 1"
    )
    decoder_steps: Count = hyperparameter("updates of the decoder alone, before the policy's")
    decoder_beside: bool = hyperparameter("train the decoder in the policy's updates, too")
    decoder_batch_size: Size = hyperparameter("rows an update of the decoder alone")
    flow_hidden_sizes: Sizes = hyperparameter("hidden layers of the velocity field")
    flow_steps: Size = hyperparameter("Euler steps from noise to action")
    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows a policy update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    noise_scale: Positive = hyperparameter("half width of the policy's box in the noise")
    edit_scale: Amount = hyperparameter("half width of an edit of the decoded action; 0 = none")
    online_decoder: bool = hyperparameter(
        "online, the decoder learns from actions that are worth more than its own"
    )
    online_widening: Amount = hyperparameter(
        "online, growth of the box's half width an update while the critics agree at its edge; "
        "0 = none"
    )
    widest_box: Positive = hyperparameter("half width at which the growing box ends")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critics: Size = hyperparameter("members of the critics' ensemble")
    critic_layer_norm: bool = hyperparameter("layer normalisation in the critics")
    pessimism: Amount = hyperparameter("rho: standard deviations of the target below its mean")
    decoder_learning_rate: Positive = hyperparameter("Adam step size of the decoder")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor and of log alpha")
    critic_learning_rate: Positive = hyperparameter("Adam step size of all critics")
    actor_average: Share = hyperparameter(
        "rate of the average of the actor that acts and is saved; 0 = the last actor"
    )
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    tau: Rate = hyperparameter("Polyak rate of the slow copies")
    reward_shift: Real = hyperparameter("added to every reward after scaling (-1 on mazes)")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "DSRL: a bounded policy in the noise of a flow-matching decoder"
    paper = "Wagenmaker et al. 2025, Steering Your Diffusion Policy (arXiv:2506.15799)"

    @property
    def reusable(self):
        """The decoder, if it is trained on the data."""
        return REUSABLE if self.decoder is None else None

    def __check_init__(self):
        if self.decoder_steps == 0 and not self.decoder_beside and self.steps == 0:
            raise ConfigError("decoder_steps is 0 and steps is 0: there is nothing to train.")
        if self.decoder is None and self.decoder_range is not None:
            raise ConfigError("decoder_range is of a file; give --decoder FILE, or leave it null.")
        if self.decoder is not None and (self.decoder_steps or self.decoder_beside):
            raise ConfigError(
                f"decoder {self.decoder} is frozen; set decoder_steps to 0 and decoder_beside to "
                "false (--decoder does)."
            )
        if self.online_decoder and (self.decoder_beside or self.decoder is not None):
            raise ConfigError(
                "online_decoder is for a decoder that was trained on the data and is frozen since; "
                "leave out --decoder and set decoder_beside to false."
            )

        if not is_zero(self.online_widening):
            self.check_widening()

    def check_widening(self):
        """Raise a ConfigError if the box could not grow, or nobody could tell how far."""
        if self.critics < 2:
            raise ConfigError(
                "online_widening asks how far critics disagree, but critics is 1; take 2 or more."
            )
        if self.widest_box <= self.noise_scale:
            raise ConfigError(
                f"widest_box is {self.widest_box:g}, but the box begins at noise_scale "
                f"{self.noise_scale:g}; choose a larger widest_box, or online_widening 0."
            )

    def remarks(self, data):
        """None; a decoder that is given is asked about some rows of the data.

        Raises:
            ConfigError: it is no decoder for these data.
        """
        if self.decoder is not None:
            spec = data.spec._replace(action_size=self.chunk * data.spec.action_size)
            normalizer = Normalizer.of(spec, active=self.normalize_observations)
            decoder = self.foreign_decoder(self.decoder, spec, normalizer)
            decoder.check(data.transitions.observation[:1000])
            if self.decoder_range is None:
                decoder.require_units(data.action_range)
        return ()

    def init(self, spec, *, key):
        k_decoder, k_actor, k_critic, k_latent = jax.random.split(key, 4)
        sizes = spec.observation_size, spec.action_size
        normalizer = Normalizer.of(spec, active=self.normalize_observations)
        decoder = self.make_decoder(spec, normalizer, key=k_decoder)
        actor = BoundedLatentPolicy(
            sizes[0], decoder.latent_size, self.actor_hidden_sizes, key=k_actor
        )
        layers = {"layer_norm": self.critic_layer_norm, "activation": jax.nn.gelu}
        critic = Critics(
            *sizes, self.critic_hidden_sizes, size=self.critics, key=k_critic, **layers
        )
        latent_sizes = sizes[0], decoder.latent_size
        latent_critic = Critics(
            *latent_sizes, self.critic_hidden_sizes, size=1, key=k_latent, **layers
        )
        return State(
            normalizer,
            Learner.create(decoder, self.decoder_optimizer),
            decoder,
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            critic,
            Learner.create(latent_critic, self.critic_optimizer),
            Learner.create(jnp.zeros(()), self.actor_optimizer),
            reward_scale(spec, self.return_span),
            self.make_editor(*sizes, key=jax.random.fold_in(key, 1)),
            None if is_zero(self.online_widening) else jnp.zeros(()),
        )

    def make_editor(self, *sizes, key) -> Editor | None:
        """One for observations and actions of these sizes, or none."""
        if is_zero(self.edit_scale):
            return None
        return Editor.create(*sizes, self.actor_hidden_sizes, self.actor_optimizer, key=key)

    def make_decoder(self, spec, normalizer, *, key) -> AbstractLatentActionSpace:
        """The one in the file, or a fresh one."""
        if self.decoder is not None:
            return self.foreign_decoder(self.decoder, spec, normalizer)
        hidden = {"hidden_sizes": self.flow_hidden_sizes, "flow_steps": self.flow_steps}
        return FlowMatching(spec.observation_size, spec.action_size, **hidden, key=key)

    def foreign_decoder(self, file: str, spec, normalizer) -> ForeignDecoder:
        """The one in a file."""
        sizes = {"observation_size": spec.observation_size, "action_size": spec.action_size}
        return ForeignDecoder(file, normalizer, **sizes, answers=self.decoder_range)

    @property
    def decoder_optimizer(self):
        return optax.adam(self.decoder_learning_rate)

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        decoder = Phase(
            "decoder",
            self.decoder_steps,
            partial(self.draw, size=self.decoder_batch_size),
            self.update_decoder,
            finish=self.freeze_decoder,
            evaluates=False,
        )
        policy = Phase("policy", self.steps, self.draw, self.update)
        return (decoder, policy) if self.decoder is None else (policy,)

    def online(self):
        changes = self.online_decoder or not is_zero(self.online_widening)
        return online_phase(self, self.draw, self.update_online if changes else self.update)

    def draw(self, dataset, *, key, size=None):
        return dataset.weighted(self.return_weighting).draw(
            self.batch_size if size is None else size, key=key
        )

    def update_decoder(self, state, batch, *, key, weight=None):
        """One step of flow matching, on rows of these weights."""
        s = jax.vmap(state.normalizer)(batch.observation)
        noise, time = draw_matching(batch.action, key=key)
        decoder, metrics = descend(
            state.decoder,
            self.decoder_optimizer,
            lambda m: matching_loss(m, s, batch.action, noise, time, weight),
        )
        target = polyak(state.target_decoder, decoder.model, self.tau)
        return state._replace(decoder=decoder, target_decoder=target), metrics

    def freeze_decoder(self, state, dataset, *, key):
        """The policy begins with the decoder itself, not with a copy that lags behind."""
        return state._replace(target_decoder=state.decoder.model)

    def update_online(self, state, batch, *, key):
        """The same; a step of the decoder on what is better than what it does; the box may grow."""
        state, metrics = self.update(state, batch, key=key)
        if state.widening is not None:
            looks = metrics["edge_disagreement"], metrics["data_disagreement"]
            how = {"rate": self.online_widening, "most": self.widest_box - self.noise_scale}
            state = state._replace(widening=widened(state.widening, *looks, **how))
        if not self.online_decoder:
            return state, metrics
        k_own, k_decoder = jax.random.split(jax.random.fold_in(key, 2))
        better = self.better(state, batch, key=k_own)
        state, more = self.update_decoder(state, batch, key=k_decoder, weight=better)
        return state, metrics | more

    def better(self, state, batch, *, key):
        """1 for actions that the critics prefer to what the decoder makes of noise, else 0."""
        s, decoder = jax.vmap(state.normalizer)(batch.observation), state.target_decoder
        w = jax.random.normal(key, (s.shape[0], decoder.latent_size))
        value = jax.vmap(lambda s, a: jnp.mean(state.critic.model(s, a)))
        own = value(s, jax.vmap(decoder.decode)(s, w))
        return (value(s, batch.action) > own).astype(jnp.float32)

    def update(self, state, batch, *, key):
        """One step: critics, latent critic, actor, alpha, targets; the decoder where it learns."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_next, k_latent, k_actor, k_decoder = jax.random.split(key, 4)
        y = jax.vmap(partial(self.target, state))(
            batch.reward, batch.terminal, s_next, jax.random.split(k_next, s.shape[0])
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        w = jax.random.normal(k_latent, (s.shape[0], state.target_decoder.latent_size))
        k_made = jax.random.split(jax.random.fold_in(k_latent, 1), s.shape[0])
        made = jax.vmap(partial(self.made, state))(s, w, k_made)
        value = jnp.mean(jax.vmap(critic.model)(s, made), axis=1)
        latent_critic, latent_metrics = descend(
            state.latent_critic,
            self.critic_optimizer,
            lambda m: self.latent_loss(m, s, w, value),
        )
        alpha = jnp.exp(state.log_alpha.model)
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state, latent_critic.model, alpha, s, key=k_actor),
            average=self.actor_average,
        )
        excess = actor_metrics["log_prob"] - w.shape[1] / 2
        log_alpha, alpha_metrics = descend(
            state.log_alpha, self.actor_optimizer, lambda m: self.alpha_loss(m, excess)
        )
        metrics = critic_metrics | latent_metrics | actor_metrics | alpha_metrics
        if state.editor is not None:
            editor, edit_metrics = self.improve_editor(state, s, key=jax.random.fold_in(key, 1))
            state, metrics = state._replace(editor=editor), metrics | edit_metrics
        if state.widening is not None:
            metrics |= self.look_at_edge(state, s, batch.action, key=jax.random.fold_in(key, 3))
        if self.decoder_beside:
            state, decoder_metrics = self.update_decoder(state, batch, key=k_decoder)
            metrics |= decoder_metrics
        state = state._replace(
            actor=actor,
            critic=critic,
            target_critic=polyak(state.target_critic, critic.model, self.tau),
            latent_critic=latent_critic,
            log_alpha=log_alpha,
        )
        return state, metrics

    def target(self, state, reward, terminal, s_next, key):
        """The pessimistic target y, for one transition."""
        decoder = state.target_decoder
        w = state.actor.model.sample(s_next, self.box(decoder, s_next, state.widening), key=key)
        q = state.target_critic(s_next, self.made(state, s_next, w, key))
        next_value = jnp.mean(q) - self.pessimism * jnp.std(q)
        reward = scaled(reward, state.reward_scale) + self.reward_shift
        return td_target(reward, terminal, next_value, self.discount)

    def made(self, state, s, w, key):
        """The action that noise becomes: decoded, and edited where there is an editor.

        The edit is its mode without a key, else from a key of its own.
        """
        action = state.target_decoder.decode(s, w)
        if state.editor is None:
            return action
        key = None if key is None else jax.random.fold_in(key, 1)
        return state.editor.edited(s, action, self.edit_scale, key=key)

    def improve_editor(self, state, s, *, key):
        """One step of the editor on what the policy's noise is decoded to."""
        decoder, keys = state.target_decoder, jax.random.split(key, (2, s.shape[0]))

        def decoded(s, key):
            box = self.box(decoder, s, state.widening)
            return decoder.decode(s, state.actor.model.sample(s, box, key=key))

        edit = self.edit_scale, self.actor_optimizer
        actions = jax.vmap(decoded)(s, keys[0])
        return state.editor.improved(state.critic.model, s, actions, *edit, keys=keys[1])

    def look_at_edge(self, state, s, a, *, key):
        """How far the critics disagree at the edge of the box, and at recorded actions."""
        k_noise, k_made = jax.random.split(key)
        half_width, size = self.half_width(state), state.target_decoder.latent_size
        w = edge_noise(s.shape[0], size, half_width, key=k_noise)
        made = jax.vmap(partial(self.made, state))(s, w, jax.random.split(k_made, s.shape[0]))
        return {
            "half_width": half_width,
            "edge_disagreement": disagreement(state.critic.model, s, made),
            "data_disagreement": disagreement(state.critic.model, s, a),
        }

    def latent_loss(self, latent_critic, s, w, value):
        """What noise is worth: regression onto the critics at the decoded actions."""
        errors = jax.vmap(latent_critic.first)(s, w) - value
        loss = jnp.mean(errors**2)
        return loss, {"latent_loss": loss}

    def actor_loss(self, actor, state, latent_critic, alpha, s, *, key):
        """Soft policy improvement on the latent critic, over a batch."""
        decoder, edge = state.target_decoder, 0.999 * self.half_width(state)

        def terms(s, key):
            box = self.box(decoder, s, state.widening)
            w, log_prob = actor.sample_with_log_prob(s, box, key=key)
            return latent_critic.first(s, w), log_prob, jnp.abs(w)

        q, log_prob, size = jax.vmap(terms)(s, jax.random.split(key, s.shape[0]))
        loss = jnp.mean(alpha * log_prob - q)
        return loss, {
            "actor_loss": loss,
            "log_prob": jnp.mean(log_prob),
            "saturation": jnp.mean((size > edge).astype(jnp.float32)),
        }

    def alpha_loss(self, log_alpha, excess):
        """`excess` is the mean of log pi(w|s) plus the target entropy."""
        return -log_alpha * excess, {"alpha": jnp.exp(log_alpha)}

    def box_width(self):
        return self.noise_scale

    def latent_size(self, state):
        return state.target_decoder.latent_size

    def decode(self, state, memory, observation, latent):
        return state.target_decoder.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s, decoder, actor = state.normalizer(observation), state.target_decoder, state.actor.steady
        box = self.box(decoder, s, state.widening)
        w = actor.mode(s, box) if key is None else actor.sample(s, box, key=key)
        return self.made(state, s, w, key), memory

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale), self.reward_shift)

    def critic_value(self, state, observation, action):
        """Mean of the critics, of an action in a simulator."""
        return jnp.mean(state.critic.model(state.normalizer(observation), action))

    def box(self, decoder, s, widening=None):
        """Where the policy may place its noise; `widening` is what the box has grown by."""
        width = self.noise_scale if widening is None else self.noise_scale + widening
        return decoder.box(s, width)

    def half_width(self, state):
        """Of the box as wide as it is now."""
        return self.noise_scale if state.widening is None else self.noise_scale + state.widening
