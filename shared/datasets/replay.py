"""A ring buffer of rows on the device, and a data set that is drawn from together with one."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from shared.datasets.rows import TransitionDataset
from shared.types import Scalar, Transition


class RingBuffer(NamedTuple):
    """The newest rows; once it is full, a new row takes the oldest one's place.

    What a simulator has shown lately, or a model imagined.

    Attributes:
        rows: leading axis = capacity; those from `size` on mean nothing.
        place: where the next row goes.
        size: how many there are.
    """

    rows: Transition
    place: Int[Array, ""]
    size: Int[Array, ""]

    @classmethod
    def empty(cls, capacity: int, observation_size: int, action_size: int) -> "RingBuffer":
        """Without rows yet."""
        rows = Transition(
            jnp.zeros((capacity, observation_size)),
            jnp.zeros((capacity, action_size)),
            jnp.zeros(capacity),
            jnp.zeros(capacity, bool),
            jnp.zeros((capacity, observation_size)),
        )
        return cls(rows, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return self.rows.reward.shape[0]

    def append(self, rows: Transition, valid: Bool[Array, "batch"] | None = None) -> "RingBuffer":
        """With those of the rows that are `valid` (None: all), in order; at most `capacity`."""
        valid = jnp.ones(rows.reward.shape, bool) if valid is None else valid
        order = jnp.cumsum(valid, dtype=jnp.int32)
        # What is not valid goes behind the end, where nothing is written.
        place = jnp.where(valid, (self.place + order - 1) % self.capacity, self.capacity)
        return RingBuffer(
            jax.tree.map(lambda old, new: old.at[place].set(new, mode="drop"), self.rows, rows),
            (self.place + order[-1]) % self.capacity,
            jnp.minimum(self.size + order[-1], self.capacity),
        )

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows, uniformly with replacement."""
        index = jax.random.randint(key, (batch_size,), 0, jnp.maximum(self.size, 1))
        return jax.tree.map(lambda x: x[index], self.rows)


class MixedDataset(eqx.Module):
    """A data set and a ring buffer, drawn from as if they were one."""

    offline: TransitionDataset
    replay: RingBuffer

    def weighted(self, temperature: Scalar | None) -> "MixedDataset":
        """The same with the recorded rows among themselves as `TransitionDataset.weighted`."""
        return MixedDataset(self.offline.weighted(temperature), self.replay)

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows with replacement, from both together by how many there are."""
        first = self.offline.transitions.reward.shape[0]
        index = jax.random.randint(key, (batch_size,), 0, first + self.replay.size)
        if weights := self.offline.returns.weights:
            old = self.offline.rows(weights.pick(batch_size, key=jax.random.fold_in(key, 1)))
        else:
            old = self.offline.rows(jnp.minimum(index, first - 1))
        new = jax.tree.map(lambda x: x[jnp.maximum(index - first, 0)], self.replay.rows)

        def choose(old, new):
            return jnp.where((index < first).reshape((-1,) + (1,) * (old.ndim - 1)), old, new)

        return jax.tree.map(choose, old, new)
