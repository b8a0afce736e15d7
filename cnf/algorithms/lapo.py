"""LAPO: a latent policy and an advantage-weighted VAE that learn side by side.

"Latent-Variable Advantage-Weighted Policy Optimization for Offline RL" (Chen et al.,
2022), Algorithm 1.

    value     z' = latent_clip · tanh(pi'(s)) + noise
              min  (V(s) - min_i Q'_i(s, D'(s, z')))^2
    critics   y = r + discount (1 - terminal) V(s')
              min  sum_i (Q_i(s, a) - y)^2
    VAE       u = y - V(s);  w = expectile where u > 0, 1 - expectile elsewhere
              min  w (|a - D(s, z)|^2 + kl_weight KL(q(z|s, a) || N(0, 1))),  z ~ q
    actor     min  -Q_1(s, D'(s, latent_clip · tanh(pi(s))))
    targets   Q', D', pi' <- (1 - tau) · slow + tau · fast
    acting    D'(s, latent_clip · tanh(pi(s)))

D = the decoder of `vae`.  The noise is Gaussian with `latent_noise`, clipped at twice
that.  Losses of an update see V and Q as they were before it.

Differences from the paper:
    - Actions are not standardised; the decoder ends in a tanh.
    - Both terms of the VAE's loss are means over entries.
    - Rewards are scaled by `reward_scale` only (AntMaze, 100): the optimizer does not
      notice the scale of a value, so the division by the largest reward is left out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.critics import smallest_critic
from cnf.vae import ConditionalVAE
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.latent_actions import check_clip
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import MLP, Critics, Normalizer
from shared.models.policies import TanhActor


class State(NamedTuple):
    """Everything that LAPO remembers."""

    normalizer: Normalizer
    vae: Learner
    actor: Learner
    critic: Learner
    value: Learner
    target_vae: ConditionalVAE
    target_actor: TanhActor
    target_critic: Critics


class LAPO(AbstractAlgorithm):
    """Latent-variable advantage-weighted policy optimization; fields are the hyperparameters."""

    steps: int = hyperparameter("updates of every network")
    batch_size: int = hyperparameter("rows an update")
    vae_hidden_sizes: tuple[int, ...] = hyperparameter("hidden layers of the VAE")
    actor_hidden_sizes: tuple[int, ...] = hyperparameter("hidden layers of the latent actor")
    critic_hidden_sizes: tuple[int, ...] = hyperparameter("hidden layers of critics and value")
    vae_learning_rate: float = hyperparameter("Adam step size of the VAE")
    actor_learning_rate: float = hyperparameter("Adam step size of the actor")
    critic_learning_rate: float = hyperparameter("Adam step size of critics and value")
    discount: float = hyperparameter("discount of future rewards")
    tau: float = hyperparameter("Polyak rate of all targets")
    expectile: float = hyperparameter("weight of rows with a positive advantage in the VAE")
    kl_weight: float = hyperparameter("weight of the VAE's KL term")
    latent_clip: float = hyperparameter("half width of the policy's box in latent space")
    latent_noise: float = hyperparameter("standard deviation of the noise in the value target")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_scale: float = hyperparameter("factor of every reward (100 in AntMaze)")

    title = "LAPO: latent policy with an advantage-weighted VAE"
    paper = "Chen et al. 2022, Latent-Variable Advantage-Weighted Policy Optimization"

    def __check_init__(self):
        check_clip(self.latent_clip)

    def init(self, spec, *, key):
        k_vae, k_actor, k_critic, k_value = jax.random.split(key, 4)
        s_size, a_size = spec.observation_size, spec.action_size
        vae = ConditionalVAE(
            s_size,
            a_size,
            hidden_sizes=self.vae_hidden_sizes,
            kl_weight=self.kl_weight,
            key=k_vae,
        )
        actor = TanhActor(s_size, vae.latent_size, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(s_size, a_size, self.critic_hidden_sizes, key=k_critic)
        value = MLP(s_size, 1, self.critic_hidden_sizes, key=k_value)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
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
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 1: value, critics, VAE, actor, targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a, k_noise, k_vae = batch.action, *jax.random.split(key)
        noise = jax.random.normal(k_noise, (s.shape[0], state.vae.model.latent_size))
        v_target = jax.vmap(self.value_target, (None, 0, 0))(state, s, noise)
        value, value_metrics = descend(
            state.value, self.critic_optimizer, lambda m: self.value_loss(m, s, v_target)
        )
        y = jax.vmap(self.target, (None, 0, 0, 0))(
            state.value.model, batch.reward, batch.terminal, s_next
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, a, y)
        )
        advantage = y - jax.vmap(state.value.model)(s)[:, 0]
        vae, vae_metrics = descend(
            state.vae, self.vae_optimizer, lambda m: self.vae_loss(m, s, a, advantage, key=k_vae)
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.target_vae, state.critic.model, s),
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

    def value_target(self, state, s, noise):
        """The value of the slow policy, for one observation."""
        limit = 2 * self.latent_noise
        z = self.latent(state.target_vae, state.target_actor, s)
        z = z + jnp.clip(self.latent_noise * noise, -limit, limit)
        return jnp.min(state.target_critic(s, state.target_vae.decode(s, z)))

    def value_loss(self, value, s, v_target):
        """Squared error of the value over a batch."""
        v = jax.vmap(value)(s)[:, 0]
        loss = jnp.mean((v - v_target) ** 2)
        return loss, {"value_loss": loss, "v": jnp.mean(v)}

    def target(self, value, reward, terminal, s_next):
        """Target y of the critics, for one transition."""
        scaled = self.reward_scale * reward
        return td_target(scaled, terminal, value(s_next)[0], self.discount)

    def vae_loss(self, vae, s, a, advantage, *, key):
        """The weighted loss of the VAE over a batch; the weights carry no gradient."""
        keys = jax.random.split(key, s.shape[0])
        losses = jax.vmap(lambda s, a, k: vae.loss(s, a, key=k))(s, a, keys)
        weight = jnp.where(advantage > 0, self.expectile, 1 - self.expectile)
        loss = jnp.mean(weight * losses)
        return loss, {"vae_loss": loss, "advantage": jnp.mean(advantage)}

    def actor_loss(self, actor, vae, critic, s):
        """The deterministic policy gradient through the slow decoder, over a batch."""

        def q(s):
            return critic.first(s, vae.decode(s, self.latent(vae, actor, s)))

        loss = -jnp.mean(jax.vmap(q)(s))
        return loss, {"actor_loss": loss}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, self.reward_scale)

    def act(self, state, memory, observation, *, key):
        s, vae = state.normalizer(observation), state.target_vae
        return vae.decode(s, self.latent(vae, state.actor.model, s)), memory
