"""Frames as transitions: what algorithms draw that learn from single rows.

The twin of `TransitionDataset` for data that are kept as frames, each stored once.  A row is known
by the number of its frame, and the same key draws the same transitions from either form (tested).
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from shared.datasets.n_step import Steps, add_up
from shared.datasets.sequences import SequenceDataset
from shared.datasets.weighting import EpisodeReturns, Weights
from shared.types import Scalar, Transition


class FrameRows(eqx.Module):
    """The rows of a `SequenceDataset`, for one draw or look at it.

    Attributes:
        sequences: pictures, or vectors in their place.
        stack: observations in a row's own, oldest first along the last axis; at the start of an
            episode its first one fills the stack.
        encode: what becomes of a batch of stacks; None leaves them as they are.
    """

    sequences: SequenceDataset
    stack: int = eqx.field(static=True, default=1)
    encode: Callable | None = None

    @property
    def training_rows(self) -> Int[Array, "training"]:
        """Row numbers of the training episodes."""
        return self.sequences.places.training

    @property
    def validation_rows(self) -> Int[Array, "validation"]:
        """Row numbers of the held-out episodes (may be empty)."""
        return self.sequences.places.validation

    @property
    def returns(self) -> EpisodeReturns:
        """As of `TransitionDataset`."""
        return self.sequences.places.returns

    def rows(self, index: Int[Array, "batch"]) -> Transition:
        """The transitions at these row numbers."""
        places = self.sequences.places
        now, following = self._observations(index, index + 1)
        small = places.action[index], places.reward[index], places.terminal[index]
        return Transition(now, *small, following)

    def weighted(self, temperature: Scalar | None) -> "FrameRows":
        """As of `TransitionDataset`."""
        return dataclasses.replace(self, sequences=self.sequences.weighted(temperature))

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows with replacement, from *all* episodes."""
        places = self.sequences.places
        return self.rows(_pick(places.acted, batch_size, places.returns.weights, key=key))

    def draw_training(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """The same from the training episodes."""
        weights = self.sequences.places.returns.training_weights
        return self.rows(_pick(self.training_rows, batch_size, weights, key=key))

    def draw_best(self, batch_size: int, fraction: float, *, key: PRNGKeyArray) -> Transition:
        """The same from that `fraction` of all rows whose episodes earned most."""
        ranked = self.sequences.places.ranked
        size = max(1, round(fraction * ranked.shape[0]))
        return self.rows(_pick(ranked[:size], batch_size, key=key))

    def draw_steps(
        self, batch_size: int, steps: int, discount: Scalar, *, key: PRNGKeyArray
    ) -> Steps:
        """The rows of `draw` with the returns of `steps` steps."""
        places = self.sequences.places
        index = _pick(places.acted, batch_size, places.returns.weights, key=key)
        left = places.episodes.last[places.episodes.number[index]] - index
        of_frames = places.reward, places.terminal
        reward, ahead, count = add_up(*of_frames, index, left, steps, discount)
        now, following = self._observations(index, index + count)
        return Steps(now, places.action[index], reward, ahead, following)

    def _observations(self, *frames: Int[Array, "batch"]) -> list[Array]:
        """The stacks that end with these frames, from one look at the data."""
        ends = jnp.stack(frames)
        first = self.sequences.episodes.first[self.sequences.episodes.number[ends]]
        ages = jnp.arange(self.stack - 1, -1, -1)
        number = jnp.maximum(ends[..., None] - ages[None, None], first[..., None])
        seen = self.sequences.observations_at(number)
        seen = jnp.concatenate([seen[:, :, i] for i in range(self.stack)], axis=-1)
        return [x if self.encode is None else self.encode(x) for x in seen]


def _pick(
    among: Int[Array, "some"], batch_size: int, weights: Weights | None = None, *, key: PRNGKeyArray
) -> Int[Array, "batch"]:
    if weights is not None:
        return weights.pick(batch_size, key=key)
    return among[jax.random.randint(key, (batch_size,), 0, among.shape[0])]
