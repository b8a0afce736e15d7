"""Chunks of consecutive actions, and returns of several steps, drawn as if they were transitions.

With chunks of H actions and returns over n of them, a transition that begins at row t is

    action            a_t, ..., a_{t+H-1}, one after another
    reward            sum_{k < H n} discount^k r_{t+k}
    next_observation  s_{t+H n}

("Reinforcement Learning with Action Chunking", Li et al., 2025, equation 7; n-step returns: Sutton
and Barto).  A critic that learns from them discounts the next value by discount^(H n).

No transition is of two stretches (an episode, or its part up to an inner terminal): rows whose
chunk would cross an end are never drawn.  A terminal within the steps behind the chunk ends the
sum and is the transition's own; a time limit there would leave the rest of the sum unknown, so
that such rows are not drawn either, and one at the last step bootstraps as it should.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from shared.datasets.rows import TransitionDataset
from shared.datasets.weighting import EpisodeReturns
from shared.types import Scalar


class Chunk(NamedTuple):
    """A `Transition` of a whole chunk, and the discounted number of its steps.

    Attributes:
        observation: where the chunk begins.
        action: all of its actions, flattened.
        reward: discounted sum to where `next_observation` is.
        terminal: did the environment end the episode within it?
        next_observation: behind the last step.
        steps: sum of the discounts of the rewards, `reward` if each had been 1.
    """

    observation: Float[Array, "*batch observation"]
    action: Float[Array, "*batch actions"]
    reward: Float[Array, "*batch"]
    terminal: Bool[Array, "*batch"]
    next_observation: Float[Array, "*batch observation"]
    steps: Float[Array, "*batch"]


@dataclass(frozen=True)
class ChunkedRows:
    """A data set whose draws are chunks; made where it is drawn from, inside a compiled function.

    Attributes:
        dataset: of single rows.
        chunk: H, actions of a transition.
        n_step: n, chunks whose rewards are summed.
        discount: of one step.
    """

    dataset: TransitionDataset
    chunk: int
    n_step: int
    discount: Scalar

    @property
    def training_rows(self) -> Int[Array, "training"]:
        """Row numbers of the training episodes; see `rows`."""
        return self.dataset.training_rows

    @property
    def validation_rows(self) -> Int[Array, "validation"]:
        """Row numbers of the held-out episodes; see `rows`."""
        return self.dataset.validation_rows

    @property
    def returns(self) -> EpisodeReturns:
        """As of `TransitionDataset`."""
        return self.dataset.returns

    def weighted(self, temperature: Scalar | None) -> "ChunkedRows":
        """As of `TransitionDataset`: an episode counts by what it earned."""
        return replace(self, dataset=self.dataset.weighted(temperature))

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Chunk:
        """`batch_size` chunks, uniformly among all that there are unless they are weighted."""
        return self._draw(self._counts(), batch_size, key=key)

    def draw_training(self, batch_size: int, *, key: PRNGKeyArray) -> Chunk:
        """The same from the training episodes."""
        counts = jnp.where(self.dataset.returns.held, 0, self._counts())
        return self._draw(counts, batch_size, key=key)

    def draw_best(self, batch_size: int, fraction: float, *, key: PRNGKeyArray) -> Chunk:
        """`batch_size` chunks of the best stretches, which hold that `fraction` of all rows."""
        ranked, number = self.dataset.ranked_rows, self.dataset.stretches.number
        best = number[ranked[: max(1, round(fraction * ranked.shape[0]))]]
        counts = self._counts()
        chosen = jnp.zeros(counts.shape, bool).at[best].set(True)
        return self._draw(jnp.where(chosen, counts, 0), batch_size, key=key)

    def rows(self, index: Int[Array, "batch"]) -> Chunk:
        """The chunks that begin at these rows, or at the last row before where one still fits.

        From a stretch without any it is the first one behind it.
        """
        stretches, counts = self.dataset.stretches, self._counts()
        stretch = stretches.number[index]
        place = jnp.minimum(index - stretches.first[stretch], jnp.maximum(counts[stretch] - 1, 0))
        before = jnp.cumsum(counts) - counts
        number = jnp.minimum(before[stretch] + place, jnp.sum(counts) - 1)
        return jax.vmap(self._cut)(*self._locate(counts, number))

    def _counts(self) -> Int[Array, "stretches"]:
        """How many chunks begin in every stretch: at all of its rows but the last ones."""
        first, last = self.dataset.stretches.first, self.dataset.stretches.last
        whole = self.chunk * self.n_step
        needed = jnp.where(self.dataset.terminal[last], self.chunk, whole)
        return jnp.maximum(last - first + 2 - needed, 0)

    def _draw(self, counts, batch_size, *, key):
        if self.dataset.returns.temperature is not None:
            first = self.dataset.returns.weights_of(counts).pick(batch_size, key=key)
            return jax.vmap(self._cut)(first, self._last(first))
        number = jax.random.randint(key, (batch_size,), 0, jnp.sum(counts))
        return jax.vmap(self._cut)(*self._locate(counts, number))

    def _locate(self, counts, number):
        """First and last row there is, of chunks by their number among all."""
        ends = jnp.cumsum(counts)
        stretch = jnp.searchsorted(ends, number, side="right")
        before = ends[stretch] - counts[stretch]
        first = self.dataset.stretches.first[stretch] + number - before
        return first, self._last(first)

    def _last(self, first):
        """Last rows of the stretches of these rows."""
        stretches = self.dataset.stretches
        return stretches.last[stretches.number[first]]

    def _cut(self, first, last) -> Chunk:
        """The chunk that begins at row `first`, of a stretch that ends with row `last`."""
        rows, whole = self.dataset.transitions, self.chunk * self.n_step
        place = first + jnp.arange(whole)
        weight = jnp.asarray(self.discount, jnp.float32) ** jnp.arange(whole, dtype=jnp.float32)
        weight = jnp.where(place <= last, weight, 0.0)
        place = jnp.minimum(place, last)
        return Chunk(
            rows.observation[first],
            rows.action[place[: self.chunk]].reshape(-1),
            jnp.sum(weight * rows.reward[place]),
            rows.terminal[place[-1]],
            rows.next_observation[place[-1]],
            jnp.sum(weight),
        )
