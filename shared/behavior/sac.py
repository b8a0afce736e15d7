"""Soft actor-critic, which trains the behaviour policies of the collected data sets.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (2018), with
two critics, slow target critics and an automatic temperature.  For one
transition (s, a, r, m, s'), with m true where the episode truly ended:

    y     = r + γ (1 - m) (min_i Q'_i(s', a') - α log π(a' | s')),  a' ~ π(· | s')   (eqs. 5, 6)
    L_Q   = Σ_i (Q_i(s, a) - y)²                                                      (eq. 5)
    L_π   = α log π(ã | s) - min_i Q_i(s, ã),                       ã ~ π(· | s)      (eq. 7)
    L_α   = -log α (log π(ã | s) + H),                               H = -n           (eq. 18)

γ is `discount`, α the `temperature`, Q' the target critics, H the target
entropy and n the number of actions.

Differences from the paper: L_α descends log α in place of α, which keeps α
positive; L_Q is a sum of squares without the factor 1/2.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from shared.behavior.policies import LOG_STD_HIGH, LOG_STD_LOW, Layers
from shared.models.learner import Learner, Metrics, descend, polyak
from shared.models.networks import MLP, Critics
from shared.types import Transition


class TanhGaussianActor(eqx.Module):
    """π(a | s): the tanh of a diagonal Gaussian, so that actions lie in (-1, 1).

    The raw log standard deviation is squashed into [`LOG_STD_LOW`,
    `LOG_STD_HIGH`] by a tanh.
    """

    network: MLP

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        key: PRNGKeyArray,
    ):
        self.network = MLP(observation_size, 2 * action_size, hidden_sizes, key=key)

    def __call__(
        self, observation: Float[Array, "observation"]
    ) -> tuple[Float[Array, "action"], Float[Array, "action"]]:
        """Mean and log standard deviation before the tanh."""
        mean, raw = jnp.split(self.network(observation), 2)
        return mean, LOG_STD_LOW + 0.5 * (LOG_STD_HIGH - LOG_STD_LOW) * (jnp.tanh(raw) + 1)

    def sample(
        self, observation: Float[Array, "observation"], noise: Float[Array, "action"]
    ) -> tuple[Float[Array, "action"], Float[Array, ""]]:
        """An action and its log density; `noise` is standard normal."""
        mean, log_std = self(observation)
        u = mean + jnp.exp(log_std) * noise
        log_normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - u - jax.nn.softplus(-2 * u))  # log(1 - tanh(u)²)
        return jnp.tanh(u), jnp.sum(log_normal - log_slope)

    def layers(self) -> Layers:
        """Weights and biases as NumPy arrays, for `policies.forward`."""
        return tuple((np.asarray(x.weight), np.asarray(x.bias)) for x in self.network.layers)


class SACState(NamedTuple):
    """Everything an update changes; `temperature.model` is log α."""

    actor: Learner
    critics: Learner
    target_critics: Critics
    temperature: Learner


class SAC(eqx.Module):
    """The hyperparameters, and the update they define."""

    observation_size: int = eqx.field(static=True)
    action_size: int = eqx.field(static=True)
    actor_hidden_sizes: tuple[int, ...] = eqx.field(static=True, default=(128, 128))
    critic_hidden_sizes: tuple[int, ...] = eqx.field(static=True, default=(128, 128))
    discount: float = eqx.field(static=True, default=0.99)
    tau: float = eqx.field(static=True, default=0.005)
    actor_learning_rate: float = eqx.field(static=True, default=5e-4)
    critic_learning_rate: float = eqx.field(static=True, default=1e-3)
    temperature_learning_rate: float = eqx.field(static=True, default=5e-4)
    initial_temperature: float = eqx.field(static=True, default=0.2)

    def init(self, *, key: PRNGKeyArray) -> SACState:
        actor_key, critic_key = jax.random.split(key)
        sizes = (self.observation_size, self.action_size)
        actor = TanhGaussianActor(*sizes, self.actor_hidden_sizes, key=actor_key)
        critics = Critics(*sizes, self.critic_hidden_sizes, key=critic_key)
        log_temperature = jnp.full((), math.log(self.initial_temperature), jnp.float32)
        return SACState(
            Learner.create(actor, optax.adam(self.actor_learning_rate)),
            Learner.create(critics, optax.adam(self.critic_learning_rate)),
            jax.tree.map(jnp.copy, critics),  # its own buffers, so that the state can be donated
            Learner.create(log_temperature, optax.adam(self.temperature_learning_rate)),
        )

    def target(self, state: SACState, transition: Transition, noise: Float[Array, "action"]):
        """Y, the soft Bellman target of one transition (eqs. 5, 6)."""
        action, log_prob = state.actor.model.sample(transition.next_observation, noise)
        q = jnp.min(state.target_critics(transition.next_observation, action))
        v = q - jnp.exp(state.temperature.model) * log_prob
        return transition.reward + self.discount * jnp.where(transition.terminal, 0.0, v)

    def critic_loss(self, critics: Critics, transition: Transition, y: Float[Array, ""]):
        """L_Q of one transition (eq. 5)."""
        q = critics(transition.observation, transition.action)
        return jnp.sum((q - y) ** 2), jnp.mean(q)

    def actor_loss(self, actor, critics, temperature, observation, noise):
        """L_π at one observation (eq. 7), and log π(ã | s)."""
        action, log_prob = actor.sample(observation, noise)
        return temperature * log_prob - jnp.min(critics(observation, action)), log_prob

    def temperature_loss(self, log_temperature, log_prob):
        """L_α at one observation (eq. 18)."""
        return -log_temperature * (log_prob - self.action_size)

    def update(
        self, state: SACState, batch: Transition, *, key: PRNGKeyArray
    ) -> tuple[SACState, Metrics]:
        """One step of critics, target critics, actor and temperature on a batch."""
        noise = jax.random.normal(key, (2, *batch.action.shape))
        y = jax.vmap(self.target, (None, 0, 0))(state, batch, noise[0])

        def critic_objective(critics):
            loss, q = jax.vmap(self.critic_loss, (None, 0, 0))(critics, batch, y)
            return jnp.mean(loss), {"critic_loss": jnp.mean(loss), "q": jnp.mean(q)}

        critics, critic_metrics = descend(
            state.critics, optax.adam(self.critic_learning_rate), critic_objective
        )
        temperature = jnp.exp(state.temperature.model)

        def actor_objective(actor):
            loss, log_prob = jax.vmap(self.actor_loss, (None, None, None, 0, 0))(
                actor, critics.model, temperature, batch.observation, noise[1]
            )
            return jnp.mean(loss), {
                "actor_loss": jnp.mean(loss),
                "log_prob": jnp.mean(log_prob),
            }

        actor, actor_metrics = descend(
            state.actor, optax.adam(self.actor_learning_rate), actor_objective
        )

        def temperature_objective(log_temperature):
            loss = self.temperature_loss(log_temperature, actor_metrics["log_prob"])
            return loss, {"temperature": temperature}

        learner, temperature_metrics = descend(
            state.temperature,
            optax.adam(self.temperature_learning_rate),
            temperature_objective,
        )
        target_critics = polyak(state.target_critics, critics.model, self.tau)
        metrics = critic_metrics | actor_metrics | temperature_metrics
        return SACState(actor, critics, target_critics, learner), metrics
