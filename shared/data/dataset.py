"""Transitions on the device, and the draws that algorithms make from them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from shared.types import Spec, Transition


class TransitionDataset(eqx.Module):
    """A whole data set as device arrays; always an *argument* of compiled functions.

    Attributes:
        transitions: leading axis = rows.
        training_rows: row numbers of the training episodes.
        validation_rows: row numbers of the held-out episodes (may be empty).
    """

    transitions: Transition
    training_rows: Int[Array, "training"]
    validation_rows: Int[Array, "validation"]

    def rows(self, index: Int[Array, "batch"]) -> Transition:
        """The transitions at these row numbers."""
        return jax.tree.map(lambda x: x[index], self.transitions)

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows, uniformly with replacement, from *all* episodes."""
        size = self.transitions.reward.shape[0]
        return self.rows(jax.random.randint(key, (batch_size,), 0, size))

    def draw_training(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows, uniformly with replacement, from the training episodes."""
        pick = jax.random.randint(key, (batch_size,), 0, self.training_rows.shape[0])
        return self.rows(self.training_rows[pick])


def make_dataset(
    transitions: Transition,
    episode: np.ndarray,
    *,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> TransitionDataset:
    """Put host transitions on the device and hold out whole episodes.

    Arguments:
        transitions: NumPy arrays with leading axis rows.
        episode: `(rows,)` episode number of every row.
        validation_fraction: share of *episodes* held out.  Rows of one episode are never
            split, because neighbours in time are nearly copies of each other.  With fewer
            than two episodes nothing is held out.
        seed: fixes which episodes are held out.
    """
    numbers = np.unique(episode)
    held = int(round(validation_fraction * len(numbers)))
    if validation_fraction > 0 and len(numbers) > 1:
        held = min(max(held, 1), len(numbers) - 1)
    order = np.random.default_rng(seed).permutation(numbers)
    is_held = np.isin(episode, order[:held])
    device = Transition(*(jnp.asarray(x) for x in transitions))
    return TransitionDataset(
        device,
        jnp.asarray(np.flatnonzero(~is_held), jnp.int32),
        jnp.asarray(np.flatnonzero(is_held), jnp.int32),
    )


def spec_of(transitions: Transition) -> Spec:
    """Sizes and observation statistics (over every row, in float64) of a data set."""
    observation = np.asarray(transitions.observation, np.float64)
    return Spec(
        observation.shape[1],
        transitions.action.shape[1],
        observation.mean(0).astype(np.float32),
        observation.std(0).astype(np.float32),
    )
