"""Loss terms in which two or more papers share the *same* equation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from shared.types import Scalar

MAX_WEIGHT = 100.0
"""Ceiling of every exponentiated advantage (AWAC, IQL and CNF use the same)."""


def advantage_weight(
    advantage: Float[Array, "*batch"], temperature: Scalar
) -> Float[Array, "*batch"]:
    """exp(A / temperature), clipped at `MAX_WEIGHT`."""
    return jnp.minimum(jnp.exp(advantage / temperature), MAX_WEIGHT)


def standardized(advantage: Float[Array, "batch"]) -> Float[Array, "batch"]:
    """(A - mean) / standard deviation over the batch: one temperature for rewards of any scale."""
    return (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-6)


def action_distance(
    a: Float[Array, "*batch action"], b: Float[Array, "*batch action"], *, squared: bool
) -> Float[Array, "*batch"]:
    """Mean over the entries of |a - b| (CNF, equation 6), or of its square."""
    error = a - b
    return jnp.mean(error**2 if squared else jnp.abs(error), axis=-1)


def td_target(
    reward: Float[Array, ""],
    terminal: Bool[Array, ""],
    next_value: Float[Array, ""],
    discount: Scalar,
) -> Float[Array, ""]:
    """The target r + discount · (1 - terminal) · V(s')."""
    return reward + discount * jnp.where(terminal, 0.0, next_value)


def td_loss(
    critic: Callable,
    s: Float[Array, "batch observation"],
    a: Float[Array, "batch action"],
    y: Float[Array, "batch"],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean over the batch of sum_i (Q_i(s, a) - y)² of critics, as `Critics`; with its metrics."""
    q = jax.vmap(critic)(s, a)
    loss = jnp.mean(jnp.sum((q - y[:, None]) ** 2, axis=1))
    return loss, {"critic_loss": loss, "q": jnp.mean(q)}


def smoothed_action(
    action: Float[Array, "action"],
    noise: Float[Array, "action"],
    scale: Scalar,
    limit: Scalar,
) -> Float[Array, "action"]:
    """TD3's target policy smoothing: a + clip(scale · noise, ±limit), kept in [-1, 1]."""
    return jnp.clip(action + jnp.clip(scale * noise, -limit, limit), -1.0, 1.0)
