"""The range that a recording's actions are scaled from."""

import numpy as np
from jaxtyping import Float

from shared.data.recording.units import Range, range_asked
from shared.errors import DataError


def scaled_from(
    where: str,
    action: Float[np.ndarray, "rows action"],
    asked: str | float | tuple[tuple[float, float], ...] | None,
) -> tuple[Float[np.ndarray, "rows action"], Range | None, str | None]:
    """The actions, the range to declare for them, and a sentence on what was clipped.

    Arguments:
        where: the file, for sentences.
        action: as they are stored.
        asked: "data" from the smallest to the largest of each, a percentile from that to the one
            as far from the other end (what lies beyond is clipped), pairs, or None for none.

    Raises:
        DataError: another number of pairs.
    """
    if asked is None:
        return action, None, None
    if isinstance(asked, tuple):
        if len(asked) not in (1, size := action.shape[1]):
            raise DataError(
                f"{where}: 'action_range' has {len(asked)} pairs, but there are {size} actions; "
                "write one pair, or one for each."
            )
        return action, range_asked([x for pair in asked for x in pair], size), None
    percent = 0.0 if isinstance(asked, str) else float(asked)
    finite = np.where(np.isfinite(action), action, np.nan)
    if np.isnan(finite).all(axis=0).any():
        return action, None, None  # refused as NaN
    ends = np.nanpercentile(finite.astype(np.float64), (percent, 100 - percent), axis=0)
    low, high = ends.astype(np.float32)
    still = low >= high  # a motor that rests lies in the middle of its range
    low, high = np.where(still, low - 1, low), np.where(still, high + 1, high)
    if not percent:
        return action, (low, high), None
    clipped = np.clip(action, low, high)
    beyond = (clipped != action) & np.isfinite(action)
    note = (
        f"{beyond.any(axis=1).mean():.1%} of the rows have an action beyond percentile "
        f"{percent:g} or {100 - percent:g}; it is clipped to that range."
    )
    return np.where(np.isfinite(action), clipped, action), (low, high), note
