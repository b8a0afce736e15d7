"""CNF: conservative agents in the uniform latent space of a normalizing flow.

"Let Offline RL Flow: Training Conservative Agents in the Latent Space of
Normalizing Flows" (Akimov et al., 2022), Algorithms 1 and 2.

    pretraining   min_phi  -log p_phi(a|s)                                        (5)
    critics       y = r + discount (1 - terminal) min_i Q'_i(s', f^-1(z''|s'))    (8)
                  min  sum_i (Q_i(s, a) - y)^2
    actor         A = min_i Q_i(s, a) - min_i Q_i(s, f^-1(z'|s))
                  w = exp(A / temperature), at most 100                           (7)
                  min  mean of w |a - f^-1(z|s)|,  z ~ pi(.|s)                    (6)
    targets       Q' <- (1 - tau) Q' + tau Q

f = `latent_space` (frozen in the second phase: gradient passes through it to the
actor, never into it), pi = `actor`, Q = `critic`, Q' = `target_critic`.

Ablations by configuration: `base: normal` with `latent_clip: null` (figure 5) or
1, 2, 3 (figure 6); `learn_in: latent` (AWAC entirely in latent space, A.4:
log-likelihood of encoded actions in place of (6)).  CNF-VAE (figure 7) is the algorithm
`cnf-vae`: the VAE is trained as PLAS trains it, and may be that of a run of PLAS.

Differences from the paper:
    - Odd action sizes are split unevenly.  Padding hopper's three dimensions to
      four makes the likelihood unbounded.
    - Validation episodes are held out whole; a split by rows leaks neighbours.
    - Target critics, a weight ceiling of 100, and for the flow AdamW with a ceiling of 0.1 on
      the gradient's norm are the authors' code, not the text (Adam).
    - The flow's conditioners have ReLU activations; the authors' have PReLU, with learned slopes.
    - Actor and critics have two hidden layers outside of maze2d, where the paper chooses between
      two and three for every data set.
    - `flow_margin` and `pretrain_noise` (0 in the paper): a margin beyond ±1 makes saturated
      actions ordinary points of the flow, and noise on what it is trained on (Rothfuss et al.
      2019) keeps its density, and so its decoder, smooth between and just beyond the data.
    - `distance: squared` puts the mean square in the place of the absolute distance of (6): of
      two actions that the data hold for one state the policy then takes the mean, as cloning
      does, where the median of few rows jumps from one to the other.
    - The advantage uses a policy sample of its own (`baseline_sample: separate`, the
      authors' code); Algorithm 2 as printed shares one (`shared`), which saves a decode.
    - The random search over learning rate, weight decay and batch size is one
      vmapped program (`search_members`), not 50 runs.
"""

import math
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.encoders import REUSABLE_VAE, Pretraining, pretraining_phase, reusable_encoder
from cnf.exploration import online_phase
from cnf.rewards import reward_scale, scaled, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.errors import ConfigError
from shared.models.flow import DEVIATION
from shared.models.latent_actions import AbstractLatentActionSpace, check_clip
from shared.models.learner import Learner, annealed_adam, descend, polyak
from shared.models.losses import action_distance, advantage_weight, standardized, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, draw
from shared.models.rounded import FrozenType, rounded
from shared.ranges import Amount, Count, DropRate, Positive, Rate, Real, Share, Size, Sizes

REUSABLE_FLOW = reusable_encoder(
    *("encoder", "base", "flow_layers", "flow_hidden_size", "flow_margin"),
    *("normalize_observations", "pretrain_weight_decay", "pretrain_clip", "pretrain_noise"),
    *("center_weight", "search_members"),
)


class State(NamedTuple):
    """Everything that CNF remembers."""

    normalizer: Normalizer
    pretraining: Pretraining
    latent_space: AbstractLatentActionSpace
    actor: Learner
    critic: Learner
    target_critic: Critics
    reward_scale: Float[Array, ""] | None


class CNF(AbstractAlgorithm):
    """Conservative Normalizing Flows; fields are the hyperparameters."""

    encoder: Literal["flow", "vae"] = hyperparameter("action encoder")
    base: Literal["uniform", "normal"] = hyperparameter("base distribution of the flow")
    latent_clip: Positive | None = hyperparameter(
        "half width of the box for a normal latent; null = none"
    )
    learn_in: Literal["action", "latent"] = hyperparameter("space of the actor loss")
    flow_layers: Size = hyperparameter("layers of the flow")
    flow_hidden_size: Size = hyperparameter("width of the flow's conditioners")
    flow_margin: DropRate = hyperparameter("share of the action range kept free beyond its ends")
    vae_hidden_sizes: Sizes = hyperparameter("hidden layers of the VAE")
    pretrain_steps: Count = hyperparameter("updates of the encoder")
    pretrain_batch_size: Size = hyperparameter("rows a pretraining update")
    pretrain_learning_rate: Positive = hyperparameter("AdamW step size of the encoder")
    pretrain_weight_decay: Amount = hyperparameter("decoupled weight decay of the encoder")
    pretrain_clip: Positive | None = hyperparameter(
        "ceiling of the encoder's gradient norm; null = none"
    )
    pretrain_noise: Amount = hyperparameter(
        "standard deviation of noise on normalised observations and on actions in pretraining"
    )
    center_weight: Amount = hyperparameter(
        "weight of the squared error of the action at the box's centre in pretraining; 0 = none"
    )
    search_members: Size = hyperparameter(
        "encoders trained side by side in the random search; 1 = none"
    )
    validate_every: Count = hyperparameter(
        "updates between two validation passes; 0 = keep the last"
    )
    validation_rows: Size = hyperparameter("rows of the held-out episodes used at most")
    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows a policy update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critic_layer_norm: bool = hyperparameter("normalise the critics' hidden activations")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    cosine_decay: bool = hyperparameter("the actor's step size falls to 0 along a cosine")
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
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    temperature: Positive = hyperparameter("lambda of the advantage weights")
    normalize_advantages: bool = hyperparameter("standardise the advantages of a batch")
    advantage_limit: Positive | None = hyperparameter(
        "largest size of an advantage in the weights, standardised or not; null = any"
    )
    distance: Literal["absolute", "squared"] = hyperparameter(
        "distance between recorded and decoded action in the actor loss"
    )
    baseline_sample: Literal["separate", "shared"] = hyperparameter(
        "policy sample of the advantage"
    )
    frozen_dtype: FrozenType = hyperparameter(
        "type of the operands of the frozen encoder's products in updates of the policy"
    )
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_shift: Real = hyperparameter("added to every reward (-1 on mazes)")

    density_samples = 1  # of a VAE; nobody asks for its density here

    title = "CNF: policies in the latent space of a conditional flow, or (cnf-vae) of PLAS's VAE"
    paper = "Akimov et al. 2022, Let Offline RL Flow (arXiv:2211.11096)"
    observations = ("state", "pixels")
    shaped_by = {"pretrain": "train_nll"}

    @property
    def reusable(self):
        """The encoder: a VAE is the same as PLAS's, and may be its."""
        return REUSABLE_VAE if self.encoder == "vae" else REUSABLE_FLOW

    def __check_init__(self):
        of_flow = ("pretrain_weight_decay", "pretrain_clip", "pretrain_noise", "center_weight")
        given = {name: getattr(self, name) for name in of_flow}
        if self.encoder == "vae" and any(given.values()):
            values = ", ".join(f"{name} {value}" for name, value in given.items())
            raise ConfigError(
                f"encoder is 'vae', but {values} are a flow's; choose the algorithm cnf-vae, "
                "which trains it as PLAS does."
            )
        bounded = self.encoder == "flow" and self.base == "uniform"
        check_clip(self.latent_clip, 1.0 if bounded else math.inf)

    def init(self, spec, *, key):
        k_encoder, k_actor, k_critic = jax.random.split(key, 3)
        pretraining = Pretraining.create(self, spec, key=k_encoder)
        latent_space = pretraining.frozen()
        actor = BoundedLatentPolicy(
            spec.observation_size,
            latent_space.latent_size,
            self.actor_hidden_sizes,
            key=k_actor,
        )
        judged = latent_space.latent_size if self.learn_in == "latent" else spec.action_size
        critic = Critics(
            spec.observation_size,
            judged,
            self.critic_hidden_sizes,
            layer_norm=self.critic_layer_norm,
            key=k_critic,
        )
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            pretraining,
            latent_space,
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            critic,
            reward_scale(spec, self.return_span),
        )

    @property
    def actor_optimizer(self):
        return annealed_adam(self.actor_learning_rate, self.steps, cosine=self.cosine_decay)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def schedules(self):
        return ("cosine_decay",) if self.cosine_decay else ()

    def phases(self):
        policy = Phase("policy", self.steps, self.draw, self.update)
        return (pretraining_phase(self, shows=True), policy)

    def online(self):
        return online_phase(self, self.draw, self.update)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 2: critics, actor, target critics."""
        k_next, k_actor = jax.random.split(key)
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a, space = batch.action, rounded(state.latent_space, self.frozen_dtype)
        if self.learn_in == "latent":
            a = jax.vmap(space.encode)(s, a)

        y = jax.vmap(partial(self.target, state._replace(latent_space=space)))(
            batch.reward, batch.terminal, s_next, jax.random.split(k_next, a.shape[0])
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: self.critic_loss(m, s, a, y)
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, critic.model, space, s, a, key=k_actor),
            average=self.actor_average,
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        state = state._replace(actor=actor, critic=critic, target_critic=target_critic)
        return state, critic_metrics | actor_metrics

    def target(self, state, reward, terminal, s_next, key):
        """The target y of equation 8, for one transition."""
        z = state.actor.model.sample(s_next, self.box(state.latent_space, s_next), key=key)
        next_value = jnp.min(
            state.target_critic(s_next, self.judged(state.latent_space, s_next, z))
        )
        reward = scaled(reward, state.reward_scale) + self.reward_shift
        return td_target(reward, terminal, next_value, self.discount)

    def critic_loss(self, critic, s, a, y):
        """Equation 8 over a batch."""
        q = jax.vmap(critic)(s, a)
        loss = jnp.mean(jnp.sum((q - y[:, None]) ** 2, axis=1))
        return loss, {"critic_loss": loss, "q": jnp.mean(q)}

    def actor_loss(self, actor, critic, latent_space, s, a, *, key):
        """Equations 6 and 7 over a batch; the weights carry no gradient."""

        def samples(s, keys):
            """Latents: z of equation 6 and z' of the advantage, from one call of the network."""
            gaussian, box = actor.gaussian(s), self.box(latent_space, s)
            return draw(*gaussian, box, key=keys[0]), draw(*gaussian, box, key=keys[1])

        keys = jax.vmap(jax.random.split)(jax.random.split(key, s.shape[0]))
        z, z_baseline = jax.vmap(samples)(s, keys)
        judged = jax.vmap(partial(self.judged, latent_space))
        imitation = judged(s, z) if self.learn_in == "action" else None
        if self.baseline_sample == "separate" or imitation is None:
            baseline = judged(s, jax.lax.stop_gradient(z_baseline))
        else:
            baseline = jax.lax.stop_gradient(imitation)

        q = jax.vmap(critic)(jnp.concatenate([s, s]), jnp.concatenate([a, baseline]))
        q_data, q_policy = jnp.split(jnp.min(q, axis=1), 2)
        advantage = q_data - q_policy
        judged = standardized(advantage) if self.normalize_advantages else advantage
        if self.advantage_limit is not None:
            judged = jnp.clip(judged, -self.advantage_limit, self.advantage_limit)
        weight = advantage_weight(judged, self.temperature)
        if imitation is not None:
            distance = action_distance(a, imitation, squared=self.distance == "squared")
        else:
            distance = -jax.vmap(lambda s, z: actor.log_prob(s, z, self.box(latent_space, s)))(s, a)
        loss = jnp.mean(weight * distance)
        return loss, {
            "actor_loss": loss,
            "distance": jnp.mean(distance),
            "advantage": jnp.mean(advantage),
            "weight": jnp.mean(weight),
            "saturation": jnp.mean((jnp.abs(z) > 0.999).astype(jnp.float32)),
        }

    def box_width(self):
        base = "normal" if self.encoder == "vae" else self.base
        whole = 1.0 if base == "uniform" else None
        half_width = whole if self.latent_clip is None else self.latent_clip
        return None if half_width is None else half_width / DEVIATION[base]

    def latent_size(self, state):
        return state.latent_space.latent_size

    def decode(self, state, memory, observation, latent):
        return state.latent_space.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s = state.normalizer(observation)
        box = self.box(state.latent_space, s)
        actor = state.actor.steady
        z = actor.mode(s, box) if key is None else actor.sample(s, box, key=key)
        return state.latent_space.decode(s, z), memory

    def log_prob(self, state, observation, action):
        """That of the policy's latent, and the flow's change of volume; a VAE has none."""
        if self.encoder == "vae":
            return None
        s, space = state.normalizer(observation), state.latent_space
        z, box = space.encode(s, action), self.box(space, s)
        of_latent = state.actor.steady.log_prob(s, z, box)
        if box is not None:
            of_latent = of_latent - jnp.sum(jnp.log(box.half_width))
        of_base = -math.log(2.0) if self.base == "uniform" else jax.scipy.stats.norm.logpdf(z)
        return of_latent + space.log_prob(s, action) - jnp.sum(jnp.broadcast_to(of_base, z.shape))

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale), self.reward_shift)

    def critic_value(self, state, observation, action):
        """Q(s, a), the smallest of the critics, of an action in a simulator."""
        s = state.normalizer(observation)
        judged = state.latent_space.encode(s, action) if self.learn_in == "latent" else action
        return jnp.min(state.critic.model(s, judged))

    def box(self, latent_space, s):
        """Where the policy may place its latents."""
        return latent_space.box(s, self.latent_clip)

    def judged(self, latent_space, s, z):
        """What the critics judge: the decoded action, or the latent when learning in it."""
        return z if self.learn_in == "latent" else latent_space.decode(s, z)
