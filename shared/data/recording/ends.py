"""Where episodes end in a file that is one long list of rows.

An episode ends at a terminal row, at a timeout row, and where the next row does
not continue this one: `next_observations[i]` differs from `observations[i+1]`.
The last case is real: D4RL files break off in the middle of an episode, and
concatenated files then carry a seam that no flag marks.

`terminal` masks the bootstrap, `timeout` only cuts.  A row with both is terminal.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from shared.data.recording.columns import Columns
from shared.environments.tasks import CONTINUING, TERMINALS_INSIDE, Environment


class Episodes(NamedTuple):
    """The rows of a file, cut into episodes.

    `last[i]` marks the last row of an episode and `number[i]` names the episode
    of row i.  Per episode: raw return (summed in float64, rewards that are not finite left
    out), length in rows, and whether a flag ended it (the file may break off in
    mid-episode).  Where terminals lie inside (antmaze), the return ends with the first, as an
    evaluation would.
    """

    last: Bool[np.ndarray, "rows"]
    number: Int[np.ndarray, "rows"]
    returns: Float[np.ndarray, "episodes"]
    lengths: Int[np.ndarray, "episodes"]
    finished: Bool[np.ndarray, "episodes"]


def find_episodes(
    columns: Columns,
    environment: Environment | None,
    broken: Bool[np.ndarray, "rows"] | None = None,
) -> Episodes:
    """Cut the rows into episodes; `broken` are the rows of `broken_rows`, if they are at hand."""
    flagged = flagged_ends(columns, environment)
    last = flagged | (broken_rows(columns, flagged) if broken is None else broken)
    last[-1] = True
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    number = np.cumsum(last) - last
    reward = np.where(np.isfinite(columns.reward), columns.reward, 0.0).astype(np.float64)
    if environment is not None and environment.quirk == TERMINALS_INSIDE:
        before = np.cumsum(columns.terminal) - columns.terminal
        reward = np.where(before > before[starts][number], 0.0, reward)
    returns = np.add.reduceat(reward, starts)
    return Episodes(last, number.astype(np.int32), returns, ends - starts + 1, flagged[ends])


def flagged_ends(columns: Columns, environment: Environment | None) -> Bool[np.ndarray, "rows"]:
    """Rows whose flags end an episode.

    Without any timeout flag, episodes of a known environment are cut at its
    horizon, as D4RL's reader does.
    """
    quirk = environment.quirk if environment is not None else ""
    timeout, terminal = columns.timeout, columns.terminal
    if timeout is not None and timeout.any() and quirk == TERMINALS_INSIDE:
        return timeout.copy()
    unmarked = timeout is None or (quirk == CONTINUING and not timeout.any())
    if unmarked and environment is not None and environment.horizon > 0:
        return terminal | _at_horizon(terminal, environment.horizon)
    return terminal.copy() if timeout is None else terminal | timeout


def broken_rows(
    columns: Columns, ended: Bool[np.ndarray, "rows"], tolerance: float = 1e-4
) -> Bool[np.ndarray, "rows"]:
    """Rows, not ended by a flag, whose next observation is not the next row's observation.

    Where one of the two is not finite, nobody knows.
    """
    broken = np.zeros(len(ended), bool)
    if columns.next_observation is not None:
        following, observation = columns.next_observation[:-1], columns.observation[1:]
        follows = _close(following, observation, tolerance)
        rows = np.flatnonzero(~follows & ~ended[:-1])
        known = (np.isfinite(following[rows]) & np.isfinite(observation[rows])).all(axis=1)
        broken[rows[known]] = True
    return broken


def leaked_resets(
    columns: Columns, last: Bool[np.ndarray, "rows"], environment: Environment | None
) -> Bool[np.ndarray, "rows"]:
    """Timeout rows whose next observation is the start of the following episode.

    Some recorders store the observation after the reset there: no successor at all.
    Where one trajectory goes on through its timeouts (maze2d), it is the successor.
    """
    leaked = np.zeros(len(last), bool)
    goes_on = environment is not None and environment.quirk == CONTINUING
    if columns.next_observation is not None and not goes_on:
        rows = np.flatnonzero(last[:-1] & ~columns.terminal[:-1])
        same = _close(columns.next_observation[rows], columns.observation[rows + 1], 0.0)
        leaked[rows[same]] = True
    return leaked


def _at_horizon(terminal: np.ndarray, horizon: int) -> np.ndarray:
    """Every `horizon`-th row after the last terminal."""
    rows = np.arange(len(terminal))
    start = np.maximum.accumulate(np.where(np.roll(terminal, 1) | (rows == 0), rows, 0))
    return (rows - start + 1) % horizon == 0


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Rows that agree to `tolerance`, relative and absolute; not-a-number never agrees."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.all(np.abs(a - b) <= tolerance * (1 + np.abs(b)), axis=1)
