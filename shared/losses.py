"""Loss terms in which two or more papers share the *same* equation."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

MAX_WEIGHT = 100.0
"""Ceiling of every exponentiated advantage (AWAC, IQL and CNF use the same)."""


def advantage_weight(advantage: Float[Array, ""], temperature: float) -> Float[Array, ""]:
    """exp(A / temperature), clipped at `MAX_WEIGHT`."""
    return jnp.minimum(jnp.exp(advantage / temperature), MAX_WEIGHT)


def td_target(
    reward: Float[Array, ""],
    terminal: Bool[Array, ""],
    next_value: Float[Array, ""],
    discount: float,
) -> Float[Array, ""]:
    """r + discount · (1 - terminal) · V(s')."""
    return reward + discount * jnp.where(terminal, 0.0, next_value)
