"""Rows drawn the more often, the more their episode earned.

"Harnessing Mixed Offline RL Datasets via Trajectory Weighting" (Hong et al., 2023), its
return weighting: of episodes with returns R_e, a row of episode e is drawn with

    p  proportional to  exp(m_e / temperature),   m_e = (R_e - min R) / (max R - min R)

so that a good episode among many poor ones counts as it would in a data set of its own
kind.  A temperature that grows makes rows uniform, one that falls leaves the best episode.
An episode that the file breaks off earned what is there.  Where terminals lie inside of
episodes, each stretch that ends with one is an episode here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from shared.types import Scalar


class Weights(NamedTuple):
    """How often which rows are drawn.

    Attributes:
        first: row of every episode from which on there is something to draw.
        size: rows that can be drawn from there on; an episode without any is never drawn.
        cumulative: weights of the episodes, of all their rows together, summed up to each.
    """

    first: Int[Array, "episodes"]
    size: Int[Array, "episodes"]
    cumulative: Float[Array, "episodes"]

    def pick(self, batch_size: int, *, key: PRNGKeyArray) -> Int[Array, "batch"]:
        """Row numbers: an episode by its weight, then any of its rows."""
        k_episode, k_row = jax.random.split(key)
        total = self.cumulative[-1]
        place = jax.random.uniform(k_episode, (batch_size,)) * total
        # Rounding must not reach behind the last episode that has a weight.
        place = jnp.minimum(place, jnp.nextafter(total, jnp.zeros_like(total)))
        episode = jnp.searchsorted(self.cumulative, place, side="right")
        return self.first[episode] + jax.random.randint(k_row, (batch_size,), 0, self.size[episode])


class EpisodeReturns(NamedTuple):
    """What every episode earned, and the weighting of the draws that follows from it.

    Attributes:
        first: its first row.
        size: its rows with an action, neighbours from `first` on.
        merit: its return, 0 of the worst to 1 of the best (0 if all are equal).
        held: is it held out for validation?
        temperature: of the weighting; None draws rows uniformly.
    """

    first: Int[Array, "episodes"]
    size: Int[Array, "episodes"]
    merit: Float[Array, "episodes"]
    held: Bool[Array, "episodes"]
    temperature: Scalar | None = None

    @property
    def weights(self) -> Weights | None:
        """Of the rows of all episodes; None if they are drawn uniformly."""
        return None if self.temperature is None else self.weights_of(self.size)

    @property
    def training_weights(self) -> Weights | None:
        """Of the rows of the training episodes alone."""
        size = jnp.where(self.held, 0, self.size)
        return None if self.temperature is None else self.weights_of(size)

    def weights_of(self, size: Int[Array, "episodes"]) -> Weights:
        """Of the first `size` rows of every episode; there must be a temperature."""
        assert self.temperature is not None
        weight = size.astype(jnp.float32) * jnp.exp((self.merit - 1) / self.temperature)
        return Weights(self.first, size, jnp.cumsum(weight))

    def row_weights(self, row: Int[Array, "batch"]) -> Float[Array, "batch"]:
        """How often these rows would be drawn, the one drawn most often 1."""
        if self.temperature is None:
            return jnp.ones(row.shape)
        merit = self.merit[jnp.searchsorted(self.first, row, side="right") - 1]
        return jnp.exp((merit - jnp.max(merit)) / self.temperature)


def episode_returns(
    row: Int[np.ndarray, "rows"],
    reward: Float[np.ndarray, "rows"],
    ends: Bool[np.ndarray, "rows"],
    held: Bool[np.ndarray, "rows"],
) -> EpisodeReturns:
    """The table of episodes.

    Arguments:
        row: numbers of the rows with an action, neighbours within an episode.
        reward: what each earned.
        ends: is it the last of its episode, or of its stretch of one?
        held: does it belong to an episode that is held out?
    """
    last = np.flatnonzero(ends)
    size = np.diff(last, prepend=-1)
    episode = np.repeat(np.arange(len(last)), size)
    returns = np.bincount(episode, np.asarray(reward, np.float64))
    span = np.ptp(returns)
    merit = (returns - returns.min()) / (span if span > 0 else 1.0)
    return EpisodeReturns(
        jnp.asarray(row[last - size + 1], jnp.int32),
        jnp.asarray(size, jnp.int32),
        jnp.asarray(merit, jnp.float32),
        jnp.asarray(held[last]),
    )
