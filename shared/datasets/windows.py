"""Windows of consecutive observations, cut on the device from a data set of transitions.

An episode of L rows shows L + 1 observations: its rows' own, and what the last
action led to.  A window is `length` of these in a row, never of two episodes,
in the form of `shared.types.Window`: the action is the one taken *at* the
observation, the reward what it earned.  The last observation of an episode has
no action; an episode shorter than the window is followed by padding.  `acted`
and `observed` mark what is real.

Drawing: a row is drawn uniformly (or by what its episode earned: `weighting.py`), a
window is laid around it at a uniform offset and pushed inside the episode.  Every row
of an episode, the fatal last ones included, is then seen about equally often (those at
the very ends half as often as the rest), where a uniform choice among all windows would
show the ends of a long episode `length` times less than its middle.  Nothing of size
rows × length is ever made.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from shared.datasets.weighting import Weights
from shared.types import Transition, Window


class EpisodeRows(NamedTuple):
    """Which rows make up which episode.

    Attributes:
        number: episode of every row, counted from 0.
        first: first row of every episode.
        last: last row of every episode.
    """

    number: Int[Array, "rows"]
    first: Int[Array, "episodes"]
    last: Int[Array, "episodes"]


class EpisodeWindow(NamedTuple):
    """A window and what of it is real.

    Attributes:
        window: leading axis = time.
        observed: false on the padding behind the end of an episode.
        acted: false there and on an episode's last observation: `action`, `reward` and
            `terminal` mean nothing (they are zero).
    """

    window: Window
    observed: Bool[Array, "*batch time"]
    acted: Bool[Array, "*batch time"]


def episode_rows(episode: np.ndarray) -> EpisodeRows:
    """The table of episodes for `(rows,)` episode numbers, equal only among neighbours."""
    episode = np.asarray(episode)
    is_first = np.append(True, episode[1:] != episode[:-1])
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(episode)) - 1
    return EpisodeRows(*(jnp.asarray(x, jnp.int32) for x in (np.cumsum(is_first) - 1, first, last)))


def cut_window(
    transitions: Transition,
    episodes: EpisodeRows,
    episode: Int[Array, ""],
    start: Int[Array, ""],
    length: int,
) -> EpisodeWindow:
    """The window of one episode that begins at row `start`, which must belong to it."""
    first, last = episodes.first[episode], episodes.last[episode]
    place = start + jnp.arange(length)
    row = jnp.minimum(place, last)
    acted, observed = place <= last, place <= last + 1
    own, final = transitions.observation[row], transitions.next_observation[last]
    is_own = acted.reshape(acted.shape + (1,) * (own.ndim - 1))
    window = Window(
        observation=jnp.where(is_own, own, final[None]),
        action=jnp.where(acted[:, None], transitions.action[row], 0.0),
        reward=jnp.where(acted, transitions.reward[row], 0.0),
        terminal=acted & transitions.terminal[row],
        is_first=place == first,
    )
    return EpisodeWindow(window, observed, acted)


def place_windows(
    episodes: EpisodeRows,
    rows: Int[Array, "some_rows"] | None,
    batch_size: int,
    length: int,
    *,
    key: PRNGKeyArray,
    weights: Weights | None = None,
) -> tuple[Int[Array, "batch"], Int[Array, "batch"]]:
    """Episode and first row of `batch_size` windows of `length` observations.

    They are laid around rows that are drawn by their `weights`, or if those are None, uniformly
    among `rows` (those of whole episodes); None means all rows.
    """
    k_row, k_offset = jax.random.split(key)
    if weights is not None:
        row = weights.pick(batch_size, key=k_row)
    else:
        size = episodes.number.shape[0] if rows is None else rows.shape[0]
        row = jax.random.randint(k_row, (batch_size,), 0, size)
        row = row if rows is None else rows[row]
    offset = jax.random.randint(k_offset, (batch_size,), 0, length)
    episode = episodes.number[row]
    first, last = episodes.first[episode], episodes.last[episode]
    return episode, jnp.clip(row - offset, first, jnp.maximum(first, last + 2 - length))


def draw_windows(
    transitions: Transition,
    episodes: EpisodeRows,
    rows: Int[Array, "some_rows"] | None,
    batch_size: int,
    length: int,
    *,
    key: PRNGKeyArray,
    weights: Weights | None = None,
) -> EpisodeWindow:
    """Windows at the places of `place_windows`; leading axes = batch, time."""
    places = place_windows(episodes, rows, batch_size, length, key=key, weights=weights)
    return jax.vmap(lambda *place: cut_window(transitions, episodes, *place, length))(*places)
