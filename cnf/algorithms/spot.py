"""SPOT: TD3 with a penalty on the behaviour density of the policy's actions.

"Supported Policy Optimization for Offline Reinforcement Learning" (Wu et al., 2022).

    pretraining   min  |a - D(s, z)|^2 + kl_weight · KL(q(z|s, a) || N(0, 1)),  z ~ q  (5)
    critics       a' = clip(pi'(s') + clip(policy_noise · N(0, 1), ±noise_clip), ±1)
                  y = r + discount (1 - terminal) min_i Q'_i(s', a')
                  min  sum_i (Q_i(s, a) - y)^2
    actor         min  -Q_1(s, pi(s)) / mean |Q_1(s, pi(s))| - lambda_ · log p(pi(s)|s)  (7)
    targets       Q' <- (1 - tau) Q' + tau Q,  pi' likewise

log p is the VAE's evidence lower bound (`density_samples: 1`, the paper's choice) or
its importance-sampled bound with L = `density_samples` (6).  Its scale is that of the
VAE's training loss, |a - D|^2 + kl_weight · KL with means over entries, as in the
authors' code: `lambda_` means nothing without it.

As in TD3, the actor and all targets move at every `policy_delay`-th update only:
`steps` counts updates of the critics.  `dropout` acts on the actor and on its target
copy in training, never when acting.

Online (section 5.2 of the paper), `exploration_noise` is added to actions, and at
step t of the simulator `lambda_` is multiplied by
max(lambda_floor, 1 - t / lambda_decay_steps); optimizers and targets are kept.

Differences from the paper:
    - With L > 1 the authors' code weighs nats, 2n / kl_weight times the L = 1 scale;
      here both have the same scale, so that one `lambda_` fits both.
    - In AntMaze the authors start the last layers from smaller weights.
    - The first update already moves the actor (TD3 counts from one).
    - `imitation_weight` w (0 in the paper) adds w |a - pi(s)|^2 to (7): the density alone is
      level wherever the data reach, and there values that are still young choose by chance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.critics import smallest_critic
from cnf.encoders import Pretraining, pretraining_phase, reusable_encoder
from cnf.exploration import online_phase
from cnf.rewards import reward_scale, scaled, unit
from cnf.vae import ConditionalVAE
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, Metrics, annealed_adam, descend, polyak
from shared.models.losses import smoothed_action, td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import TanhActor
from shared.ranges import Amount, Count, DropRate, Positive, Rate, Real, Share, Size, Sizes
from shared.types import is_zero


class State(NamedTuple):
    """Everything that SPOT remembers; `actor_metrics` are those of the last actor update."""

    normalizer: Normalizer
    pretraining: Pretraining
    latent_space: ConditionalVAE
    actor: Learner
    critic: Learner
    target_actor: TanhActor
    target_critic: Critics
    actor_metrics: Metrics
    reward_scale: Float[Array, ""] | None


class SPOT(AbstractAlgorithm):
    """Supported policy optimization; fields are the hyperparameters."""

    vae_hidden_sizes: Sizes = hyperparameter("hidden layers of the VAE")
    pretrain_steps: Count = hyperparameter("updates of the VAE")
    pretrain_batch_size: Size = hyperparameter("rows a pretraining update")
    pretrain_learning_rate: Positive = hyperparameter("Adam step size of the VAE")
    validate_every: Count = hyperparameter("updates between two validations; 0 = keep the last VAE")
    validation_rows: Size = hyperparameter("rows of the held-out episodes used at most")
    steps: Count = hyperparameter("updates of the critics")
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
    discount: Share = hyperparameter("discount of future rewards")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    policy_noise: Amount = hyperparameter("standard deviation of the target action's noise")
    noise_clip: Amount = hyperparameter("ceiling of the target action's noise")
    policy_delay: Size = hyperparameter("updates of the critics for one of actor and targets")
    lambda_: Amount = hyperparameter("weight of the density penalty")
    imitation_weight: Amount = hyperparameter(
        "weight of the squared error to recorded actions in the actor loss; 0 = none"
    )
    density_samples: Size = hyperparameter("L, samples behind log p; 1 = evidence lower bound")
    dropout: DropRate = hyperparameter("share of the actor's hidden units dropped in training")
    exploration_noise: Amount = hyperparameter("standard deviation of the noise on actions online")
    lambda_decay_steps: Size = hyperparameter("online steps in which lambda_ would fall to 0")
    lambda_floor: Share = hyperparameter("share of lambda_ that stays online")
    online_discount: Share | None = hyperparameter("discount online; null = as before")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_shift: Real = hyperparameter("added to every reward (-1 in AntMaze)")

    # The answers of this paper to what else the shared pretraining asks.
    encoder, search_members = "vae", 1
    pretrain_weight_decay, pretrain_clip = 0.0, None
    pretrain_noise, center_weight = 0.0, 0.0

    title = "SPOT: TD3 regularised by a VAE's behaviour density"
    reusable = reusable_encoder("vae_hidden_sizes", "density_samples", "normalize_observations")
    paper = "Wu et al. 2022, Supported Policy Optimization (arXiv:2202.06239)"
    observations = ("state", "pixels")
    shaped_by = {"pretrain": "train_nll"}

    def init(self, spec, *, key):
        k_encoder, k_actor, k_critic = jax.random.split(key, 3)
        pretraining = Pretraining.create(self, spec, key=k_encoder)
        sizes = spec.observation_size, spec.action_size
        actor = TanhActor(*sizes, self.actor_hidden_sizes, dropout=self.dropout, key=k_actor)
        norm = self.critic_layer_norm
        critic = Critics(*sizes, self.critic_hidden_sizes, layer_norm=norm, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            pretraining,
            pretraining.frozen(),
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            actor,
            critic,
            dict.fromkeys(("actor_loss", "density_penalty"), jnp.zeros(())),
            reward_scale(spec, self.return_span),
        )

    @property
    def actor_optimizer(self):
        steps = -(-self.steps // self.policy_delay)
        return annealed_adam(self.actor_learning_rate, steps, cosine=self.cosine_decay)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def schedules(self):
        return ("cosine_decay",) if self.cosine_decay else ()

    def phases(self):
        policy = Phase("policy", self.steps, self.draw, self.update, takes_step=True)
        return (pretraining_phase(self), policy)

    def online(self):
        return online_phase(
            self, self.draw, self.fine_tune, noise=self.exploration_noise, takes_step=True
        )

    @property
    def fine_tuning_discount(self) -> float:
        """The discount of the online phase."""
        return self.discount if self.online_discount is None else self.online_discount

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key, step):
        """One critic update; every `policy_delay`-th also moves the actor and the targets."""
        return self.learn(state, batch, 1.0, self.discount, key=key, step=step)

    def fine_tune(self, state, batch, *, key, step):
        """The same online, `step` steps into the simulator."""
        left = 1 - jnp.asarray(step, jnp.float32) / self.lambda_decay_steps
        hold = jnp.maximum(self.lambda_floor, left)
        return self.learn(state, batch, hold, self.fine_tuning_discount, key=key, step=step)

    def learn(self, state, batch, hold, discount, *, key, step):
        """An update with this share of what holds the policy to the data, and this discount."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_noise, k_dropout, k_actor = jax.random.split(key, 3)
        noise = jax.random.normal(k_noise, batch.action.shape)
        keys = jax.random.split(k_dropout, s.shape[0])
        y = jax.vmap(self.target, (None, None, 0, 0, 0, 0, 0))(
            state, discount, batch.reward, batch.terminal, s_next, noise, keys
        )
        critic, metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        state = state._replace(critic=critic)
        state = jax.lax.cond(
            step % self.policy_delay == 0,
            self.improve,
            lambda x, *_: x,
            *(state, hold, s, batch.action, k_actor),
        )
        return state, metrics | state.actor_metrics

    def target(self, state, discount, reward, terminal, s_next, noise, key):
        """Target y, for one transition; `key` drives the dropout."""
        a_next = smoothed_action(
            state.target_actor(s_next, key=key), noise, self.policy_noise, self.noise_clip
        )
        next_value = jnp.min(state.target_critic(s_next, a_next))
        reward = scaled(reward, state.reward_scale) + self.reward_shift
        return td_target(reward, terminal, next_value, discount)

    def improve(self, state, hold, s, a, key):
        """The delayed part of an update: actor, then both targets."""
        actor, metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(
                m, state.latent_space, state.critic.model, hold, s, a, key=key
            ),
            average=self.actor_average,
        )
        return state._replace(
            actor=actor,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, state.critic.model, self.tau),
            actor_metrics=metrics,
        )

    def actor_loss(self, actor, latent_space, critic, hold, s, a, *, key):
        """Equation 7 over a batch; the scale of Q carries no gradient.

        `hold` is the share of penalty and imitation that is left (online it falls).
        """
        k_dropout, k_density = (jax.random.split(k, s.shape[0]) for k in jax.random.split(key))
        policy_action = jax.vmap(lambda s, k: actor(s, key=k))(s, k_dropout)
        q = jax.vmap(critic.first)(s, policy_action)
        scale = jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
        penalty = jnp.mean(
            jax.vmap(density_penalty, (None, 0, 0, 0))(latent_space, s, policy_action, k_density)
        )
        anchor = self.lambda_ * penalty
        if not is_zero(self.imitation_weight):
            anchor = anchor + self.imitation_weight * jnp.mean((policy_action - a) ** 2)
        loss = -jnp.mean(q) / scale + hold * anchor
        return loss, {"actor_loss": loss, "density_penalty": penalty}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        discount = self.fine_tuning_discount if online else self.discount
        return LearnedReward(discount, unit(state.reward_scale), self.reward_shift)

    def act(self, state, memory, observation, *, key):
        return state.actor.steady(state.normalizer(observation)), memory


def density_penalty(vae: ConditionalVAE, s, a, key):
    """-log p(a|s) in the unit of the VAE's training loss, up to a constant; for one pair."""
    if vae.samples == 1:
        return vae.loss(s, a, key=key)
    return -vae.log_prob(s, a, key=key) * vae.kl_weight / vae.latent_size
