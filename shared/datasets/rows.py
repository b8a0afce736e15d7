"""Transitions on the device, and the draws that algorithms make from them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from shared.datasets.n_step import Steps, add_up
from shared.datasets.weighting import EpisodeReturns, episode_returns
from shared.datasets.windows import (
    EpisodeRows,
    EpisodeWindow,
    cut_window,
    draw_windows,
    episode_rows,
    place_windows,
)
from shared.errors import DataError
from shared.types import Scalar, Spec, Transition


class TransitionDataset(eqx.Module):
    """A whole data set as device arrays; always an *argument* of compiled functions.

    Where terminals lie inside of episodes (antmaze), an episode is several *stretches*: each ends
    with a terminal, as an evaluation would, and what it earned counts by itself.

    Attributes:
        transitions: leading axis = rows.
        training_rows: row numbers of the training episodes.
        validation_rows: row numbers of the held-out episodes (may be empty).
        ranked_rows: all row numbers, those of the stretch with the highest return first.
        sarsa_rows: row numbers with a known next action: the episode goes on in the
            following row, or ends there for good (`terminal`).
        episodes: which rows make up which episode.
        stretches: which rows make up which stretch.
        return_to_go: sum of the rewards from a row to the end of its stretch.
        returns: what every stretch earned, and how the draws are weighted by it.
    """

    transitions: Transition
    training_rows: Int[Array, "training"]
    validation_rows: Int[Array, "validation"]
    ranked_rows: Int[Array, "rows"]
    sarsa_rows: Int[Array, "sarsa"]
    episodes: EpisodeRows
    stretches: EpisodeRows
    return_to_go: Float[Array, "rows"]
    returns: EpisodeReturns

    @property
    def observation(self) -> Float[Array, "rows *observation"]:
        """Of every row."""
        return self.transitions.observation

    @property
    def action(self) -> Float[Array, "rows action"]:
        """Of every row."""
        return self.transitions.action

    @property
    def reward(self) -> Float[Array, "rows"]:
        """Of every row."""
        return self.transitions.reward

    @property
    def terminal(self) -> Bool[Array, "rows"]:
        """Of every row."""
        return self.transitions.terminal

    @property
    def acted(self) -> Bool[Array, "rows"]:
        """Which rows hold an action: all."""
        return jnp.ones(self.reward.shape, bool)

    def observations_at(self, index: Int[Array, "batch"]) -> Float[Array, "batch *observation"]:
        """Those of these row numbers."""
        return self.observation[index]

    def rows(self, index: Int[Array, "batch"]) -> Transition:
        """The transitions at these row numbers."""
        return jax.tree.map(lambda x: x[index], self.transitions)

    def weighted(self, temperature: Scalar | None) -> "TransitionDataset":
        """The same, drawn from by what episodes earned (`weighting.py`); None = uniformly.

        Of training, that is: what is held out, and the best rows, are drawn as ever.
        """
        return dataclasses.replace(self, returns=self.returns._replace(temperature=temperature))

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows with replacement, from *all* episodes."""
        return self.rows(self._pick(batch_size, key=key))

    def _pick(self, batch_size: int, *, key: PRNGKeyArray) -> Int[Array, "batch"]:
        if weights := self.returns.weights:
            return weights.pick(batch_size, key=key)
        return jax.random.randint(key, (batch_size,), 0, self.reward.shape[0])

    def draw_training(self, batch_size: int, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows with replacement, from the training episodes."""
        if weights := self.returns.training_weights:
            return self.rows(weights.pick(batch_size, key=key))
        pick = jax.random.randint(key, (batch_size,), 0, self.training_rows.shape[0])
        return self.rows(self.training_rows[pick])

    def draw_best(self, batch_size: int, fraction: float, *, key: PRNGKeyArray) -> Transition:
        """`batch_size` rows from that `fraction` of all rows whose stretches earned most."""
        size = max(1, round(fraction * self.ranked_rows.shape[0]))
        return self.rows(self.ranked_rows[jax.random.randint(key, (batch_size,), 0, size)])

    def draw_steps(
        self, batch_size: int, steps: int, discount: Scalar, *, key: PRNGKeyArray
    ) -> Steps:
        """The rows of `draw` with the returns of `steps` steps."""
        index = self._pick(batch_size, key=key)
        left = self.stretches.last[self.stretches.number[index]] - index + 1
        reward, ahead, count = add_up(self.reward, self.terminal, index, left, steps, discount)
        following = self.transitions.next_observation[index + count - 1]
        return Steps(self.observation[index], self.action[index], reward, ahead, following)

    def draw_sarsa(
        self, batch_size: int, *, key: PRNGKeyArray
    ) -> tuple[Transition, Float[Array, "batch action"]]:
        """Rows of `sarsa_rows` and the action that the data takes next.

        Behind a terminal row there is none, and what is returned means nothing.

        Raises:
            DataError: no row has a next action.
        """
        if not self.sarsa_rows.shape[0]:
            raise DataError(
                "no row of the data has a next action, which this algorithm learns from; record "
                "longer episodes, or choose another algorithm."
            )
        index = self._sarsa_index(batch_size, key=key)
        following = jnp.minimum(index + 1, self.transitions.reward.shape[0] - 1)
        return self.rows(index), self.transitions.action[following]

    def _sarsa_index(self, batch_size: int, *, key: PRNGKeyArray) -> Int[Array, "batch"]:
        if self.returns.temperature is None:
            pick = jax.random.randint(key, (batch_size,), 0, self.sarsa_rows.shape[0])
            return self.sarsa_rows[pick]
        first, size = self.returns.first, self.returns.size
        size = jnp.where(self.terminal[first + size - 1], size, size - 1)
        return self.returns.weights_of(size).pick(batch_size, key=key)

    def draw_windows(self, batch_size: int, length: int, *, key: PRNGKeyArray) -> EpisodeWindow:
        """`batch_size` windows of `length` observations, from *all* episodes."""
        return self._windows(None, batch_size, length, key=key, weights=self.returns.weights)

    def _windows(self, rows, batch_size: int, length: int, *, key, weights=None) -> EpisodeWindow:
        whole = self.transitions, self.episodes
        return draw_windows(*whole, rows, batch_size, length, key=key, weights=weights)

    def along_windows(
        self, values: Float[Array, "rows"], batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> Float[Array, "batch length"]:
        """`values` of the rows along the windows that `draw_windows` draws with this key.

        Zero where there is no action.
        """
        weights = self.returns.weights
        episode, start = place_windows(
            self.episodes, None, batch_size, length, key=key, weights=weights
        )
        row, last = start[:, None] + jnp.arange(length)[None], self.episodes.last[episode][:, None]
        return jnp.where(row <= last, values[jnp.minimum(row, last)], 0.0)

    def draw_training_windows(
        self, batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> EpisodeWindow:
        """`batch_size` windows of `length` observations, from the training episodes."""
        rows, weights = self.training_rows, self.returns.training_weights
        return self._windows(rows, batch_size, length, key=key, weights=weights)

    def draw_validation_windows(
        self, batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> EpisodeWindow:
        """The same from the held-out episodes; from all, if none is held out."""
        rows = self.validation_rows if self.validation_rows.shape[0] else None
        return self._windows(rows, batch_size, length, key=key)

    def draw_return_windows(
        self, batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> tuple[EpisodeWindow, Int[Array, "batch"]]:
        """Windows of stretches with the return to go in the place of the reward.

        Second is the time of each window's first observation in its stretch.
        """
        stretch, start = place_windows(
            self.stretches, None, batch_size, length, key=key, weights=self.returns.weights
        )
        transitions = self.transitions._replace(reward=self.return_to_go)
        cut = jax.vmap(lambda *place: cut_window(transitions, self.stretches, *place, length))
        return cut(stretch, start), start - self.stretches.first[stretch]


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
    is_held = np.isin(episode, held_out(np.unique(episode), validation_fraction, seed))
    stays = np.append(episode[1:] == episode[:-1], False)
    ends = ~stays | transitions.terminal
    stretch = np.cumsum(ends) - ends
    returns = np.bincount(stretch, np.asarray(transitions.reward, np.float64))
    device = Transition(*map(jax.device_put, transitions))  # no copy, see `frame_store`
    indices = (
        np.flatnonzero(~is_held),
        np.flatnonzero(is_held),
        np.argsort(-returns[stretch], kind="stable"),
        np.flatnonzero(stays | transitions.terminal),
    )
    rows = (jnp.asarray(x, jnp.int32) for x in indices)
    whole = episode_rows(episode)
    stretches = episode_rows(stretch) if (stays & transitions.terminal).any() else whole
    table = episode_returns(np.arange(len(episode)), transitions.reward, ends, is_held)
    return TransitionDataset(
        device, *rows, whole, stretches, returns_to_go(transitions.reward, ends), table
    )


def returns_to_go(
    reward: Float[np.ndarray, "rows"], ends: Bool[np.ndarray, "rows"]
) -> Float[Array, "rows"]:
    """Sum of the rewards from every row to the next that `ends` a stretch, in float64."""
    backwards = np.cumsum(np.asarray(reward, np.float64)[::-1])[::-1]
    ends = np.flatnonzero(ends) + 1
    behind = np.append(backwards, 0.0)[np.repeat(ends, np.diff(ends, prepend=0))]
    return jnp.asarray(backwards - behind, jnp.float32)


def held_out(episodes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Which episodes are kept for validation: at least one, but never all."""
    count = int(round(fraction * len(episodes)))
    if fraction > 0 and len(episodes) > 1:
        count = min(max(count, 1), len(episodes) - 1)
    return np.random.default_rng(seed).permutation(episodes)[:count]


def spec_of(transitions: Transition, episode_returns: np.ndarray) -> Spec:
    """Sizes, observation statistics (over every row, in float64) and extreme returns."""
    observation = np.asarray(transitions.observation, np.float64)
    return Spec(
        observation.shape[1:],
        transitions.action.shape[1],
        observation.mean(0).astype(np.float32),
        observation.std(0).astype(np.float32),
        np.asarray([episode_returns.min(), episode_returns.max()], np.float32),
    )
