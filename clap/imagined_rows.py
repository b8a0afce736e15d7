"""Rows that a model imagined, in a ring buffer on the device that is part of the state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from shared.types import Transition


class ImaginedRows(NamedTuple):
    """The newest rows; once it is full, a new row takes the oldest one's place.

    Attributes:
        rows: leading axis = capacity; those from `size` on mean nothing.
        place: where the next row goes.
        size: how many there are.
    """

    rows: Transition
    place: Int[Array, ""]
    size: Int[Array, ""]

    @classmethod
    def empty(cls, capacity: int, observation_size: int, action_size: int) -> "ImaginedRows":
        """Without rows yet."""
        observation = jnp.zeros((capacity, observation_size))
        rows = Transition(
            observation,
            jnp.zeros((capacity, action_size)),
            jnp.zeros(capacity),
            jnp.zeros(capacity, bool),
            observation,
        )
        return cls(rows, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return self.rows.reward.shape[0]

    def append(self, rows: Transition, valid: Bool[Array, "batch"]) -> "ImaginedRows":
        """With those of the rows that are `valid`, in their order; at most `capacity` of them."""
        order = jnp.cumsum(valid, dtype=jnp.int32)
        # What is not valid goes behind the end, where nothing is written.
        place = jnp.where(valid, (self.place + order - 1) % self.capacity, self.capacity)
        return ImaginedRows(
            jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), self.rows, rows),
            (self.place + order[-1]) % self.capacity,
            jnp.minimum(self.size + order[-1], self.capacity),
        )

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows, uniformly with replacement."""
        index = jax.random.randint(key, (batch_size,), 0, jnp.maximum(self.size, 1))
        return jax.tree.map(lambda x: x[index], self.rows)
