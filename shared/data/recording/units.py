"""The units of a recording: the range of its commands, and numbers too far from zero for float32.

Policies answer in [-1, 1] and see float32.  Actions are scaled from the range that the data
declare, and from columns of which float32 would keep a few values only a constant is
subtracted in float64.  Both are noted with the data set and undone by the trained policy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from shared.errors import DataError, printable

RANGE_KEYS = ("action_low", "action_high")
"""Arrays or attributes that declare the range of a file's actions: a number, or one a motor."""
OFFSET_KEY = "observation_offset"
"""The attribute that says what was subtracted, in a file that was converted."""
LEVELS = 64
"""Fewer steps of float32 than this within a deviation are too coarse."""
NOISE = 1e-12
"""Of its size, a column varies less by the rounding of float64 alone."""
_SAMPLE = 5_000

Range = tuple[Float[np.ndarray, "action"], Float[np.ndarray, "action"]]


class Options(NamedTuple):
    """What a user says of data that do not say it themselves.

    Attributes:
        action_range: lowest and highest command, `(low, high)` of all motors or a pair a motor,
            one behind the other; None takes what the data declare.
        cut_jumps: end an episode where the next row does not continue it, flag or no flag.
    """

    action_range: tuple[float, ...] | None = None
    cut_jumps: bool = False


PLAIN = Options()
"""The user says nothing."""


def range_asked(pairs: Sequence[float], size: int) -> Range:
    """`(low, high)` for all motors, or a pair for each of `size` motors, as two arrays.

    Raises:
        DataError: another number of values, or a lowest that is not below its highest.
    """
    if len(pairs) not in (2, 2 * size):
        raise DataError(
            f"action_range has {len(pairs)} numbers; write [low, high], or such a pair for each of "
            f"the {size} actions, one behind the other."
        )
    low, high = np.resize(np.asarray(pairs, np.float64), 2 * size).reshape(size, 2).T
    return _checked(low, high, "action_range")


def range_declared(told: Mapping[str, Any], size: int, where: str) -> Range | None:
    """The range that a file or its metadata declare; None if there is none.

    Arguments:
        told: may hold `RANGE_KEYS`, each a number or one a motor.
        size: number of motors.
        where: says it, for the sentence.

    Raises:
        DataError: one of the two is missing, of another size, or they are not in order.
    """
    present = [key for key in RANGE_KEYS if key in told]
    if not present:
        return None
    if len(present) == 1:
        other = next(key for key in RANGE_KEYS if key not in told)
        raise DataError(f"{where}: declares '{present[0]}' but not '{other}'; add it.")
    ends = [_numbers(told[key], f"{where}: '{key}'") for key in RANGE_KEYS]
    if odd := next((len(x) for x in ends if len(x) not in (1, size)), None):
        raise DataError(
            f"{where}: declares the range of {odd} actions, but has {size}; write one number each."
        )
    low, high = (np.resize(x, size) for x in ends)
    if np.isinf(low).any() or np.isinf(high).any():
        return None  # motors without a limit have no range to scale by
    return _checked(low, high, where)


def _numbers(value: Any, what: str) -> Float[np.ndarray, "n"]:
    try:
        found = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if np.isnan(found).any():
        raise DataError(f"{what} is {printable(str(value), 60)}; write a number, or one an action.")
    return found


def _checked(low: np.ndarray, high: np.ndarray, where: str) -> Range:
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise DataError(
            f"{where}: declares actions from {low.tolist()} to {high.tolist()}; each lowest value "
            "must be below its highest."
        )
    return low.astype(np.float32), high.astype(np.float32)


def offset_noted(told: Mapping[str, Any], size: int) -> Float[np.ndarray, "n"] | None:
    """What a file says was subtracted of its `size` columns; None if nothing."""
    offset = told.get(OFFSET_KEY)
    if not isinstance(offset, list) or len(offset) != size:
        return None
    return np.asarray(offset, np.float64)


def chosen_range(options: Options, told: Mapping[str, Any], size: int, where: str) -> Range | None:
    """What actions are to be scaled from: as the user says, else as the data declare.

    None if they are in [-1, 1] as they are; arguments as of `range_asked` and `range_declared`.
    """
    if options.action_range is not None:
        bounds = range_asked(options.action_range, size)
    else:
        bounds = range_declared(told, size, where)
    if bounds is not None and (bounds[0] == -1).all() and (bounds[1] == 1).all():
        return None
    return bounds


def to_unit(
    action: Float[np.ndarray, "rows action"], bounds: Range
) -> Float[np.ndarray, "rows action"]:
    """Commands as actions in [-1, 1]; computed in float64."""
    low, high = (x.astype(np.float64) for x in bounds)
    with np.errstate(over="ignore", invalid="ignore"):
        return (2 * (action.astype(np.float64) - low) / (high - low) - 1).astype(np.float32)


def far_offset(x: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "n"] | None:
    """What to subtract from float64 columns so that float32 can hold them; None if nothing.

    A column is far from zero if float32 has fewer than `LEVELS` steps within its deviation.
    """
    if x.dtype != np.float64 or not (far := is_coarse(x)).any():
        return None
    offset = np.zeros(x.shape[1])
    for k in np.flatnonzero(far):
        offset[k] = np.median(x[np.isfinite(x[:, k]), k])
    return offset


def told_offset(offset: Float[np.ndarray, "n"]) -> str:
    """A sentence on what is subtracted."""
    columns = np.flatnonzero(offset)
    told = ", ".join(f"{offset[k]:,.10g} in column {k}" for k in columns[:4])
    more = ", ..." if len(columns) > 4 else ""
    return (
        f"key 'observations' is too far from zero for float32, so {told}{more} is subtracted, "
        "as the policy does too."
    )


def is_coarse(x: Float[np.ndarray, "rows n"]) -> Bool[np.ndarray, "n"]:
    """Which columns vary by less than `LEVELS` steps of float32, and do vary; of a sample."""
    x = x[:: max(1, len(x) // (20 * _SAMPLE))].astype(np.float64)
    known = np.isfinite(x)
    count, x = np.maximum(known.sum(0), 1), np.where(known, x, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = x.sum(0) / count
        spread = np.sqrt((np.square(x - mean) * known).sum(0) / count)
    size = np.abs(x).max(0, initial=0.0)
    step = np.spacing(np.minimum(size, 1e38).astype(np.float32)).astype(np.float64)
    return (spread > NOISE * size) & (spread < LEVELS * step)


def values_lost(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int] | None:
    """Column, different values before and after a cast, of the column that lost most.

    Both are (rows,) or (rows, n); a sample is looked at.  None if each kept half of its values.
    """
    if not len(before):
        return None
    every = max(1, len(before) // _SAMPLE)
    before, after = before[::every], after[::every]
    before, after = before.reshape(len(before), -1), after.reshape(len(after), -1)
    counts = [
        (len(np.unique(a)) / len(np.unique(b)), k, len(np.unique(b)), len(np.unique(a)))
        for k, (b, a) in enumerate(zip(before.T, after.T, strict=True))
    ]
    share, *worst = min(counts, default=(1.0, 0, 0, 0))
    return tuple(worst) if share < 0.5 else None  # pyright: ignore[reportReturnType]
