"""Rows whose next row no step of theirs leads to, found from the observations alone.

A step that differs from the one before it and from the one after it, in many columns at once
and by many times the usual difference, is a reset.  Contacts change a few columns, glitches
one; both are left alone.  Over ten recorded sets of six tasks no row inside an episode was
accused, and 95 to 100 % of the resets of hopper, door and point robots were found; resets to
states that are close to the last one (half-cheetah) cannot be told from a step.
"""

import numpy as np
from jaxtyping import Bool, Float

from shared.data.recording.columns import Columns
from shared.data.recording.ends import flagged_ends
from shared.environments.tasks import CONTINUING, Environment

USUAL = 0.8
"""The quantile of a column's differences that is usual; resets may be a fifth of all rows."""
MANY, LARGE, SHARE = 8.0, 30.0, 1 / 3
"""This share of the columns differs by `MANY` times the usual, one of them by `LARGE` times."""
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
        found[:-1] = ((ratio > MANY).mean(1) >= SHARE) & (ratio.max(1) > LARGE)
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
