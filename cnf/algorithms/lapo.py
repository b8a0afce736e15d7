"""LAPO: a latent policy and an advantage-weighted VAE that learn side by side.

"Latent-Variable Advantage-Weighted Policy Optimization for Offline RL" (Chen et al.,
2022), Algorithm 1, in the order of the authors' code.

    slow value  Q^(s, z) = lambda_ min_i Q'_i(s, D'(s, z)) + (1 - lambda_) max_i Q'_i(s, D'(s, z))
    value       z' = latent_clip · tanh(pi'(s)) + noise
                min  (V(s) - clip(Q^(s, z'), value range))^2
    critics     y = r + discount (1 - terminal) V(s')
                min  sum_i (Q_i(s, a) - y)^2
    VAE         u = r + discount (1 - terminal) Q^(s', latent_clip · tanh(pi'(s'))) - V(s)
                w = expectile where u > 0, 1 - expectile elsewhere
                min  w (|a - D(s, z)|^2 + k KL(q(z|s, a) || N(0, 1))),  z ~ q
    actor       min  -Q_1(s, D'(s, latent_clip · tanh(pi(s))))
    targets     Q', D', pi' <- (1 - tau) · slow + tau · fast
    acting      D'(s, latent_clip · tanh(pi(s)))

D = the decoder of `vae`.  The noise is Gaussian with `latent_noise`, clipped at twice
that.  Value and critics see each other as before the update; VAE and actor see both behind it.

Rewards are divided by the largest of the data, or multiplied by `reward_scale` (AntMaze, 100): the
size of values decides how far one step of Adam moves them.  The value range is that of endless
rewards, from the smallest to the largest one of the data over 1 - discount; where the largest
reward ends an episode (`rewarded_once`, AntMaze), from 0 to it.

Differences from the paper:
    - Actions are not standardised, and the decoder ends in a tanh.  In its place k is `kl_weight`
      times twice the mean variance of the data's actions: the authors add up the squares of n
      standardised entries and the divergences of 2 n, where both are means here.
    - Data without a positive reward keep theirs; the authors divide by the largest all the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.critics import smallest_critic
from cnf.vae import ConditionalVAE
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.latent_actions import check_clip
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import MLP, Critics, Normalizer
from shared.models.policies import TanhActor
from shared.ranges import Amount, Count, Level, Positive, Rate, Share, Size, Sizes


class Scales(NamedTuple):
    """What LAPO takes from the data before its first update."""

    reward: Float[Array, ""]
    value_range: Float[Array, "2"]
    action_variance: Float[Array, ""]


class State(NamedTuple):
    """Everything that LAPO remembers."""

    normalizer: Normalizer
    scales: Scales
    vae: Learner
    actor: Learner
    critic: Learner
    value: Learner
    target_vae: ConditionalVAE
    target_actor: TanhActor
    target_critic: Critics


class LAPO(AbstractAlgorithm):
    """Latent-variable advantage-weighted policy optimization; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    vae_hidden_sizes: Sizes = hyperparameter("hidden layers of the VAE")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the latent actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of critics and value")
    vae_learning_rate: Positive = hyperparameter("Adam step size of the VAE")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of critics and value")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of all targets")
    expectile: Level = hyperparameter("weight of rows with a positive advantage in the VAE")
    kl_weight: Amount = hyperparameter("weight of the VAE's KL term; the authors' beta")
    lambda_: Share = hyperparameter("weight of the smaller target critic; the rest is the larger")
    latent_clip: Positive = hyperparameter("half width of the policy's box in latent space")
    latent_noise: Amount = hyperparameter("standard deviation of the noise in the value target")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_scale: Positive | None = hyperparameter(
        "factor of every reward (100 in AntMaze); null = one over the largest of the data"
    )
    rewarded_once: bool = hyperparameter("the largest reward ends an episode (AntMaze)")

    title = "LAPO: latent policy with an advantage-weighted VAE"
    paper = "Chen et al. 2022, Latent-Variable Advantage-Weighted Policy Optimization"

    def __check_init__(self):
        check_clip(self.latent_clip)

    def init(self, spec, *, key):
        k_vae, k_actor, k_critic, k_value = jax.random.split(key, 4)
        s_size, a_size = spec.observation_size, spec.action_size
        vae = ConditionalVAE(s_size, a_size, hidden_sizes=self.vae_hidden_sizes, key=k_vae)
        actor = TanhActor(s_size, vae.latent_size, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(s_size, a_size, self.critic_hidden_sizes, key=k_critic)
        value = MLP(s_size, 1, self.critic_hidden_sizes, key=k_value)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Scales(jnp.ones(()), jnp.array([-jnp.inf, jnp.inf]), jnp.ones(())),
            Learner.create(vae, self.vae_optimizer),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            Learner.create(value, self.critic_optimizer),
            vae,
            actor,
            critic,
        )

    @property
    def vae_optimizer(self):
        return optax.adam(self.vae_learning_rate)

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update, start=self.start),)

    def start(self, state, dataset, *, key):
        """The scales of rewards, values and actions, from all rows."""
        del key
        low, high = jnp.min(dataset.reward), jnp.max(dataset.reward)
        scale = jnp.where(high > 0, 1 / jnp.where(high > 0, high, 1.0), 1.0)
        if self.reward_scale is not None:
            scale = jnp.asarray(self.reward_scale, jnp.float32)
        ends = jnp.stack([low, high]) / (1 - self.discount)
        ends = jnp.stack([jnp.zeros(()), high]) if self.rewarded_once else ends
        variance = jnp.mean(jnp.var(dataset.action, axis=0))
        return state._replace(scales=Scales(scale, scale * ends, variance))

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 1: value, critics, VAE, actor, targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a, k_noise, k_vae = batch.action, *jax.random.split(key)
        r = state.scales.reward * batch.reward
        noise = jax.random.normal(k_noise, (s.shape[0], state.vae.model.latent_size))
        v_target = jax.vmap(self.value_target, (None, 0, 0))(state, s, noise)
        v_next = jax.vmap(state.value.model)(s_next)[:, 0]
        y = jax.vmap(td_target, (0, 0, 0, None))(r, batch.terminal, v_next, self.discount)
        value, value_metrics = descend(
            state.value, self.critic_optimizer, lambda m: self.value_loss(m, s, v_target)
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, a, y)
        )
        advantage = jax.vmap(self.advantage, (None, None, 0, 0, 0, 0))(
            state, value.model, r, batch.terminal, s, s_next
        )
        kl_weight = 2 * self.kl_weight * state.scales.action_variance
        vae, vae_metrics = descend(
            state.vae,
            self.vae_optimizer,
            lambda m: self.vae_loss(m, kl_weight, s, a, advantage, key=k_vae),
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.target_vae, critic.model, s),
        )
        state = state._replace(
            vae=vae,
            actor=actor,
            critic=critic,
            value=value,
            target_vae=polyak(state.target_vae, vae.model, self.tau),
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, value_metrics | critic_metrics | vae_metrics | actor_metrics

    def latent(self, vae, actor, s):
        """The latent that a policy chooses inside its box."""
        box = vae.box(s, self.latent_clip)
        return box.center + box.half_width * actor(s)

    def slow_value(self, state, s, z):
        """Q^ of a latent, for one observation."""
        q = state.target_critic(s, state.target_vae.decode(s, z))
        return self.lambda_ * jnp.min(q) + (1 - self.lambda_) * jnp.max(q)

    def value_target(self, state, s, noise):
        """The value of the slow policy with noise, inside the value range; one observation."""
        limit = 2 * self.latent_noise
        z = self.latent(state.target_vae, state.target_actor, s)
        z = z + jnp.clip(self.latent_noise * noise, -limit, limit)
        return jnp.clip(self.slow_value(state, s, z), *state.scales.value_range)

    def value_loss(self, value, s, v_target):
        """Squared error of the value over a batch."""
        v = jax.vmap(value)(s)[:, 0]
        loss = jnp.mean((v - v_target) ** 2)
        return loss, {"value_loss": loss, "v": jnp.mean(v)}

    def advantage(self, state, value, r, terminal, s, s_next):
        """The advantage u, for one transition; `r` is scaled."""
        z_next = self.latent(state.target_vae, state.target_actor, s_next)
        next_value = self.slow_value(state, s_next, z_next)
        return td_target(r, terminal, next_value, self.discount) - value(s)[0]

    def vae_loss(self, vae, kl_weight, s, a, advantage, *, key):
        """The weighted loss of the VAE over a batch; the weights carry no gradient."""
        keys = jax.random.split(key, s.shape[0])
        error, kl = jax.vmap(lambda s, a, k: vae.terms(s, a, key=k))(s, a, keys)
        weight = jnp.where(advantage > 0, self.expectile, 1 - self.expectile)
        loss = jnp.mean(weight * (error + kl_weight * kl))
        return loss, {"vae_loss": loss, "advantage": jnp.mean(advantage)}

    def actor_loss(self, actor, vae, critic, s):
        """The deterministic policy gradient through the slow decoder, over a batch."""

        def q(s):
            return critic.first(s, vae.decode(s, self.latent(vae, actor, s)))

        loss = -jnp.mean(jax.vmap(q)(s))
        return loss, {"actor_loss": loss}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, state.scales.reward)

    def box_width(self):
        return self.latent_clip

    def latent_size(self, state):
        return state.target_vae.latent_size

    def decode(self, state, memory, observation, latent):
        return state.target_vae.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s, vae = state.normalizer(observation), state.target_vae
        return vae.decode(s, self.latent(vae, state.actor.model, s)), memory
