"""Rows that nobody acted in: a vector environment's reset, recorded as a step.

With next-step autoreset (gymnasium from 1.0) the step behind an episode's end ignores its
action, earns 0 and leads from the last observation to the reset.  Recorded as a row it teaches
a jump, and it makes the true last row look as if the reset had followed it.
"""

import numpy as np
from jaxtyping import Bool, Int

from shared.data.recording.columns import Columns
from shared.data.recording.jumps import jumps

_MOST, _SOME, _RARE = 0.9, 0.5, 0.2


def without_fillers(columns: Columns) -> tuple[Columns, int]:
    """The rows without fillers, and how many were left out.

    Where the file has no next observations, a filler's observation is the one that the last
    row of its episode led to; the result then has next observations, and a last row of the
    file that has none is left out.
    """
    ended = columns.terminal if columns.timeout is None else columns.terminal | columns.timeout
    rows = np.flatnonzero(ended[:-1]) + 1
    if len(rows) < 2 or (columns.reward[rows] == 0).mean() < _MOST:
        return columns, 0
    rows = _fillers(columns, ended, rows)
    if not len(rows):
        return columns, 0
    if columns.next_observation is None:
        columns = _with_successors(columns)
        rows = rows[rows < len(columns.reward)]
    kept = np.ones(len(columns.reward), bool)
    kept[rows] = False
    return Columns(*(None if x is None else x[kept] for x in columns)), len(rows)


def _fillers(
    columns: Columns, ended: Bool[np.ndarray, "rows"], rows: Int[np.ndarray, "candidates"]
) -> Int[np.ndarray, "fillers"]:
    """Which of the rows behind ends are fillers; none unless nearly all are."""
    none = np.zeros(0, np.int64)
    fits = (columns.reward[rows] == 0) & ~ended[rows]
    following = columns.next_observation
    if following is not None:
        inside = rows + 1 < len(ended)
        fits &= (columns.observation[rows] == following[rows - 1]).all(1)
        fits[inside] &= (following[rows[inside]] == columns.observation[rows[inside] + 1]).all(1)
    if fits.mean() < _MOST:
        return none
    found = jumps(columns.observation)
    leaps, before = found[rows].mean(), found[rows - 1].mean()
    zeros_are_rare = following is not None and (columns.reward == 0).mean() < _RARE
    if before > 1 - _MOST or leaps < _SOME and not zeros_are_rare:
        return none
    return rows[fits]


def _with_successors(columns: Columns) -> Columns:
    """The same with every row's next observation; a last row without one is left out."""
    following = np.append(columns.observation[1:], columns.observation[-1:], axis=0)
    columns = columns._replace(next_observation=following)
    if columns.terminal[-1]:
        return columns  # what follows is never used
    columns = Columns(*(None if x is None else x[:-1] for x in columns))
    if columns.timeout is not None and not columns.terminal[-1]:
        timeout = columns.timeout.copy()
        timeout[-1] = True
        columns = columns._replace(timeout=timeout)
    return columns
