"""The clock of a recording: its rate, rows that are missing, and a lower rate of control.

An action of *position* kind says where to go, so a kept row's is taken as it is; actions of
*delta* kind say how far, so those of the rows left out are added to the kept row's.  Rewards add
up as well, and an end for good counts wherever in the stretch it comes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from shared.errors import DataError

GAP = 1.5
"""Steps of time beyond this many usual ones are drop-outs."""
_SLOWEST, _FASTEST = 0.01, 1e5


class Steps(NamedTuple):
    """Rows of an episode before they are thinned out.

    Attributes:
        time: seconds, or None.
        observation: what is seen.
        action: as it is stored.
        reward: what it earned.
        terminal: did the episode end for good?
        row: number of the row among all that were recorded.
    """

    time: np.ndarray | None
    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    row: np.ndarray


def rate_of(where: str, times: Sequence[np.ndarray]) -> float | None:
    """Rows a second by the median step; None if nothing has two rows.

    Raises:
        DataError: time is not in seconds, empty somewhere, or runs backwards.
    """
    steps = []
    for number, time in enumerate(times):
        if not np.isfinite(time).all():
            row = int(np.flatnonzero(~np.isfinite(time))[0])
            raise DataError(f"{where}: time is empty in row {row} of episode {number}; fill it.")
        step = np.diff(time)
        if (step < 0).any():
            row = int(np.flatnonzero(step < 0)[0]) + 1
            raise DataError(
                f"{where}: time runs backwards in row {row} of episode {number} (the first is 0); "
                "sort the rows by time, or name the column of the episodes."
            )
        steps.append(step)
    steps = np.concatenate(steps) if steps else np.zeros(0)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    rate = float(1 / np.median(steps))
    if not _SLOWEST < rate < _FASTEST:
        raise DataError(
            f"{where}: time grows by {np.median(steps):.4g} a row, so it is not in seconds; name a "
            "column of seconds."
        )
    return rate


def gaps(time: Float[np.ndarray, "rows"], rate: float) -> Int[np.ndarray, "gaps"]:
    """Rows behind which others are missing."""
    return np.flatnonzero(np.diff(time) > GAP / rate)


def told_gaps(
    labels: Sequence[str], times: Sequence[np.ndarray], rate: float, *, cut: bool
) -> str | None:
    """A sentence on the rows that are missing; None if there are none."""
    found = [gaps(time, rate) for time in times]
    count = sum(map(len, found))
    if not count:
        return None
    first = next(k for k, x in enumerate(found) if len(x))
    missing = sum(
        int(np.round(np.diff(time)[rows] * rate - 1).sum())
        for time, rows in zip(times, found, strict=True)
    )
    longest = max(float(np.diff(t)[r].max()) for t, r in zip(times, found, strict=True) if len(r))
    hurt = sum(len(x) > 0 for x in found)
    end = "episodes are ended there" if cut else "end episodes there with 'cut_gaps: true'"
    return (
        f"about {missing:,} rows are missing at {count:,} places in {hurt} of "
        f"{len(times)} episodes (first after row {found[first][0]:,} of {labels[first]}; the "
        f"longest gap is {longest:.3g} s), because time jumps there; {end}."
    )


def kept_rows(
    rows: int, time: Float[np.ndarray, "rows"] | None, recorded: float, rate: float
) -> Int[np.ndarray, "kept"]:
    """Rows nearest to the ticks of a lower rate, the first one included."""
    if time is None:
        time = np.arange(rows) / recorded
    ticks = np.arange(int(np.floor((time[-1] - time[0]) * rate + 1e-6)) + 1) / rate
    found = np.searchsorted(time - time[0], ticks - 0.5 / recorded)
    return np.unique(np.minimum(found, rows - 1))


def thinned(steps: Steps, kept: Int[np.ndarray, "kept"], kind: str | None) -> Steps:
    """The kept rows; `kind` says what becomes of the actions of the others."""
    summed = steps.action.dtype.type(0)
    action = steps.action[kept]
    if kind == "delta":
        action = np.add.reduceat(steps.action, kept, axis=0) + summed
    return Steps(
        None if steps.time is None else steps.time[kept],
        steps.observation[kept],
        action,
        np.add.reduceat(steps.reward, kept),
        np.logical_or.reduceat(steps.terminal, kept),
        steps.row[kept],
    )
