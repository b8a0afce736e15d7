"""Rewards in a unit of the data's own: their episodes' returns."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from shared.types import Scalar, Spec


def reward_scale(spec: Spec, return_span: Scalar | None) -> Float[Array, ""] | None:
    """return_span / (highest - lowest episode return); None for raw rewards.

    Values of a few hundreds at most are within reach of some thousand steps of Adam; raw ones
    of half-cheetah (up to 10 a step) are not, at a long horizon.
    """
    if return_span is None:
        return None
    low, high = jnp.asarray(spec.return_range)
    return jnp.asarray(return_span / jnp.where(high > low, high - low, return_span))


def scaled(reward: Float[Array, ""], scale: Float[Array, ""] | None) -> Float[Array, ""]:
    """One reward in that unit."""
    return reward if scale is None else scale * reward


def unit(scale: Float[Array, ""] | None) -> Scalar:
    """The factor itself; 1 for raw rewards."""
    return 1.0 if scale is None else scale
