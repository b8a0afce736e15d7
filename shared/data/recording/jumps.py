"""Rows whose next row no step of theirs leads to, found from the observations alone.

A step that differs from the one before it and from the one after it, in many columns at once
and by many times the usual difference, is a reset.  Contacts change a few columns, glitches
one; both are left alone.  Over 22 recorded sets of eleven tasks (door, hopper, walker2d,
half-cheetah, mazes, dm_control) no row inside an episode was accused.  Nearly all resets of door,
hopper and walker2d are found; those to states that are close to the last one (half-cheetah,
dm_control, a random walker2d) cannot be told from a step.
"""

import numpy as np
from jaxtyping import Bool, Float

from shared.data.recording.columns import Columns
from shared.data.recording.ends import flagged_ends
from shared.environments.tasks import CONTINUING, Environment

USUAL = 0.8
"""The quantile of a column's differences that is usual; resets may be a fifth of all rows."""
MANY = 8.0
"""Times the usual: a column that differs by so much takes part in a jump."""
ENOUGH = ((0.45, 30.0), (1 / 3, 120.0))
"""A jump: this share of the columns takes part, one of them by so many times the usual."""
_SAMPLE = 20_000


def jumps(observation: Float[np.ndarray, "rows n"]) -> Bool[np.ndarray, "rows"]:
    """True where the step into the next row is no step; never in the last row."""
    found = np.zeros(len(observation), bool)
    if len(observation) < 6:
        return found
    with np.errstate(over="ignore", invalid="ignore"):
        step = np.diff(observation.astype(np.float32), axis=0)
        change = np.abs(np.diff(step, axis=0))
        odd = np.minimum(change[:-1], change[1:])  # of steps 1 to rows - 3
        odd = np.concatenate([change[:1], odd, change[-1:]])
        usual = np.nanquantile(odd[:: max(1, len(odd) // _SAMPLE)], USUAL, axis=0)
        moving = usual > 0
        if not moving.any():
            return found
        ratio = odd[:, moving] / usual[moving]
        share, largest = (ratio > MANY).mean(1), ratio.max(1)
        for least, by in ENOUGH:
            found[:-1] |= (share >= least) & (largest > by)
    return found


def unmarked_jumps(columns: Columns, environment: Environment | None) -> Bool[np.ndarray, "rows"]:
    """Jumps to a next row that the row's own next observation does not tell apart, and no flag."""
    if environment is not None and environment.quirk == CONTINUING:
        return np.zeros(len(columns.reward), bool)
    found = jumps(columns.observation) & ~flagged_ends(columns, environment)
    if columns.next_observation is not None:
        same = (columns.next_observation[:-1] == columns.observation[1:]).all(axis=1)
        found[:-1] &= same
    return found


def cut(columns: Columns, environment: Environment | None) -> tuple[Columns, int]:
    """The columns with a timeout at every unmarked jump, and how many there are."""
    found = unmarked_jumps(columns, environment)
    if not found.any():
        return columns, 0
    ended = flagged_ends(columns, environment) & ~columns.terminal
    timeout = ended if columns.timeout is None else columns.timeout
    return columns._replace(timeout=timeout | found), int(found.sum())


def moved(columns: Columns, offset: int) -> Columns:
    """The columns with all flags `offset` rows later; none comes around to the other end."""

    def move(flag):
        if flag is None:
            return None
        later = np.roll(flag, offset)
        later[slice(0, offset) if offset > 0 else slice(len(later) + offset, None)] = False
        return later

    return columns._replace(terminal=move(columns.terminal), timeout=move(columns.timeout))
