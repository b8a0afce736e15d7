"""What critics say of an action in a simulator."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from shared.algorithm import AbstractAlgorithm, State


def smallest_critic(
    self: AbstractAlgorithm,
    state: State,
    observation: Float[Array, "observation"],
    action: Float[Array, "action"],
) -> Float[Array, ""]:
    """min_i Q_i(s, a) of a raw observation: the `critic_value` of most actor-critics."""
    return jnp.min(state.critic.model(state.normalizer(observation), action))
