"""Soft actor-critic as it trains the behaviour policies of the collected data sets.

The equations are those of `shared/models/soft_actor_critic.py`, with two critics and an
automatic weight of the entropy; here are the actor, whose weights can be run without a
compiler (`shared/behavior/policies.py`), and the sizes.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from shared.behavior.policies import LOG_STD_HIGH, LOG_STD_LOW, Layers
from shared.models.learner import Metrics
from shared.models.networks import MLP, Critics
from shared.models.policies import AbstractGaussianPolicy
from shared.models.soft_actor_critic import Optimizers, SoftActorCritic
from shared.types import Transition


class TanhGaussianActor(AbstractGaussianPolicy):
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

    def gaussian(
        self, condition: Float[Array, "observation"]
    ) -> tuple[Float[Array, "action"], Float[Array, "action"]]:
        """Mean and log standard deviation before the tanh."""
        mean, raw = jnp.split(self.network(condition), 2)
        return mean, LOG_STD_LOW + 0.5 * (LOG_STD_HIGH - LOG_STD_LOW) * (jnp.tanh(raw) + 1)

    def layers(self) -> Layers:
        """Weights and biases as NumPy arrays, for `policies.forward`."""
        return tuple((np.asarray(x.weight), np.asarray(x.bias)) for x in self.network.layers)


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
    alpha_learning_rate: float = eqx.field(static=True, default=5e-4)
    initial_alpha: float = eqx.field(static=True, default=0.2)

    @property
    def optimizers(self) -> Optimizers:
        """Adam."""
        rates = self.actor_learning_rate, self.critic_learning_rate, self.alpha_learning_rate
        return Optimizers(*(optax.adam(rate) for rate in rates))

    def init(self, *, key: PRNGKeyArray) -> SoftActorCritic:
        """Untrained."""
        actor_key, critic_key = jax.random.split(key)
        sizes = (self.observation_size, self.action_size)
        actor = TanhGaussianActor(*sizes, self.actor_hidden_sizes, key=actor_key)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=critic_key)
        return SoftActorCritic.create(actor, critic, self.optimizers, alpha=self.initial_alpha)

    def update(
        self, state: SoftActorCritic, batch: Transition, *, key: PRNGKeyArray
    ) -> tuple[SoftActorCritic, Metrics]:
        """One step of critics, actor, alpha and target critics on a batch."""
        k_next, k_actor = jax.random.split(key)
        alpha, s, s_next = state.alpha, batch.observation, batch.next_observation
        options = {"alpha": alpha, "discount": self.discount}
        y = state.targets(batch.reward, batch.terminal, s_next, **options, key=k_next)
        options = {"alpha": alpha, "tau": self.tau}
        return state.improve(self.optimizers, s, batch.action, y, **options, key=k_actor)
