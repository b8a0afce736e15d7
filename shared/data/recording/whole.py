"""Whole episodes, as Minari and V-D4RL keep them, from D4RL's long list of rows and back.

An episode of T actions has T + 1 observations.  A list of rows with
`next_observations` holds the same; one without lacks what the last action of an
episode led to, and each loss of that kind is told in a sentence.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from shared.data.recording.columns import Columns
from shared.data.recording.ends import find_episodes
from shared.datasets.frames import Frames
from shared.environments.tasks import Environment


class Episode(NamedTuple):
    """One episode, with one frame more than steps: action[t] leads from frame t to t + 1.

    Attributes:
        state: flat observations, or None where there are only pictures.
        image: pictures, channels last, or None.
        action: as it is stored, possibly beyond [-1, 1].
        reward: what each action earned.
        terminal: did it end the episode for good?
        timeout: did it end the episode for another reason?
    """

    state: Float[np.ndarray, "frames state"] | None
    image: UInt8[np.ndarray, "frames height width 3"] | None
    action: Float[np.ndarray, "steps action"]
    reward: Float[np.ndarray, "steps"]
    terminal: Bool[np.ndarray, "steps"]
    timeout: Bool[np.ndarray, "steps"]


def from_columns(
    columns: Columns, environment: Environment | None
) -> tuple[list[Episode], list[str]]:
    """Episodes of a list of rows, and what they cannot hold of it.

    Arguments:
        columns: all rows of a file.
        environment: its horizon cuts rows without flags, as the reader does.
    """
    cut = find_episodes(columns, environment)
    ends = np.flatnonzero(cut.last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    losses = {"none": 0, "cut": 0, "own": 0}
    episodes = []
    for start, end in zip(starts, ends, strict=True):
        episode, loss = _one(columns, int(start), int(end))
        losses[loss] += 1
        if episode is not None:
            episodes.append(episode)
    notes = []
    if columns.next_observation is not None:
        inside = ~cut.last[:-1]
        moved = columns.next_observation[:-1] != columns.observation[1:]
        count = int((moved.any(axis=1) & inside).sum())
        if count:
            notes.append(
                f"'next_observations' differs by rounding from the next row in {count:,} rows; "
                "the next row's observation is kept."
            )
    if losses["cut"]:
        notes.append(
            f"{losses['cut']:,} episodes end without a next observation, so the action and reward "
            "of their last row are left out, as training does; the flag moves one row up."
        )
    if losses["own"]:
        notes.append(
            f"{losses['own']:,} terminal rows have no next observation; their own follows them "
            "(it is never used)."
        )
    return episodes, notes


def _one(columns: Columns, start: int, end: int) -> tuple[Episode | None, str]:
    """The episode of rows `start` to `end`, and what was done at its end."""
    rows = slice(start, end + 1)
    state, loss = columns.observation[rows], "none"
    if columns.next_observation is not None:
        state = np.concatenate([state, columns.next_observation[end : end + 1]])
    elif columns.terminal[end]:
        state, loss = np.concatenate([state, state[-1:]]), "own"
    else:
        rows, loss = slice(start, end), "cut"
    timeout = np.zeros(len(columns.reward[rows]), bool)
    if columns.timeout is not None:
        timeout[:] = columns.timeout[rows]
    if not len(timeout):
        return None, loss
    if loss == "cut" and columns.timeout is not None:
        timeout[-1] |= columns.timeout[end]
    flat = (x[rows] for x in (columns.action, columns.reward, columns.terminal))
    return Episode(state, None, *flat, timeout), loss


def from_frames(frames: Frames) -> list[Episode]:
    """The episodes of V-D4RL's frames; an end that is not terminal is a timeout."""
    episodes = []
    bounds = np.flatnonzero(np.diff(frames.episode, prepend=-1, append=frames.episode[-1] + 1))
    for first, behind in zip(bounds[:-1], bounds[1:], strict=True):
        seen, acted = slice(first, behind), slice(first, behind - 1)
        terminal = frames.terminal[acted]
        timeout = np.arange(len(terminal)) == len(terminal) - 1
        seen_parts = (None if x is None else x[seen] for x in (frames.state, frames.image))
        episodes.append(
            Episode(*seen_parts, frames.action[acted], frames.reward[acted], terminal, timeout)
        )
    return [x._replace(timeout=x.timeout & ~x.terminal) for x in episodes]


def to_columns(episodes: Sequence[Episode]) -> tuple[Columns, list[str]]:
    """D4RL's rows, with `next_observations`; ends without a flag become timeouts.

    Raises:
        ValueError: the episodes have no states.
    """
    states: list[Any] = [x.state for x in episodes]
    if states[0] is None:
        raise ValueError("these episodes have no states")
    columns = Columns(
        np.concatenate([x[:-1] for x in states]),
        *(np.concatenate([getattr(x, key) for x in episodes]) for key in _FLAT),
        np.concatenate([x[1:] for x in states]),
    )
    ends = np.cumsum([len(x.reward) for x in episodes]) - 1
    assert columns.timeout is not None
    unmarked = ends[~columns.terminal[ends] & ~columns.timeout[ends]]
    columns.timeout[unmarked] = True
    notes = []
    if len(unmarked):
        notes.append(
            f"{len(unmarked):,} episodes end without a flag; their last rows are read as timeouts."
        )
    return columns, notes


_FLAT = ("action", "reward", "terminal", "timeout")


def with_plain_ends(episodes: Sequence[Episode]) -> tuple[list[Episode], list[str]]:
    """The same with timeouts as V-D4RL implies them: an episode's end that is not terminal."""
    plain, changed = [], 0
    for episode in episodes:
        timeout = np.arange(len(episode.reward)) == len(episode.reward) - 1
        timeout &= ~episode.terminal
        changed += int((timeout != episode.timeout).sum())
        plain.append(episode._replace(timeout=timeout))
    if not changed:
        return plain, []
    return plain, [
        f"V-D4RL has no timeouts, every end that is not terminal is one; {changed:,} rows differ."
    ]
