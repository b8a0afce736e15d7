"""Whole states at once: one small program for a state, not one for every shape of its arrays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree


@jax.jit
def copied(state: PyTree) -> PyTree:
    """The same in buffers of its own."""
    return jax.tree.map(jnp.copy, state)


@jax.jit
def of_seed(state: PyTree, index: int | Int[Array, ""]) -> PyTree:
    """What a state with a leading axis of seeds holds at one place of it."""
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False), state)
