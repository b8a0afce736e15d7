"""What a simulator has shown lately, on the device, beside the data set."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from shared.datasets.rows import TransitionDataset
from shared.types import Transition


class Replay(eqx.Module):
    """The newest `capacity` rows of a simulator; the oldest give way.

    Attributes:
        rows: leading axis = capacity; those not written yet are zero.
        written: rows written ever.
    """

    rows: Transition
    written: Int[Array, ""]

    @classmethod
    def empty(cls, capacity: int, observation_size: int, action_size: int) -> "Replay":
        observation = jnp.zeros((capacity, observation_size))
        action, reward = jnp.zeros((capacity, action_size)), jnp.zeros(capacity)
        rows = Transition(observation, action, reward, jnp.zeros(capacity, bool), observation)
        return cls(rows, jnp.zeros((), jnp.int32))

    def append(self, rows: Transition) -> "Replay":
        """With new rows, leading axis = their number, at most `capacity`."""
        capacity, count = self.rows.reward.shape[0], rows.reward.shape[0]
        place = (self.written + jnp.arange(count)) % capacity
        kept = jax.tree.map(lambda old, new: old.at[place].set(new), self.rows, rows)
        return Replay(kept, self.written + count)


class MixedDataset(eqx.Module):
    """A data set and a replay, drawn from as if they were one."""

    offline: TransitionDataset
    replay: Replay

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows, uniformly with replacement, from both together."""
        first = self.offline.transitions.reward.shape[0]
        kept = jnp.minimum(self.replay.written, self.replay.rows.reward.shape[0])
        index = jax.random.randint(key, (batch_size,), 0, first + kept)
        old = self.offline.rows(jnp.minimum(index, first - 1))
        new = jax.tree.map(lambda x: x[jnp.maximum(index - first, 0)], self.replay.rows)

        def choose(old, new):
            return jnp.where((index < first).reshape((-1,) + (1,) * (old.ndim - 1)), old, new)

        return jax.tree.map(choose, old, new)
