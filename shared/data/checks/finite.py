"""Numbers that float32 cannot take: not finite, or too large to square."""

import numpy as np

from shared.data.checks.material import Material
from shared.data.recording.columns import Columns

OVERFLOW = 1e18
"""Float32 cannot square such numbers."""
HUGE = 1e6
"""No unit that a sensor is read in."""
_FIELDS = {
    "observations": "observation",
    "actions": "action",
    "rewards": "reward",
    "next_observations": "next_observation",
}


def non_finite(material: Material) -> str | None:
    """A single NaN poisons every batch that meets it."""
    told = []
    for key, (low, high) in material.extremes.items():
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            x = getattr(material.columns, _FIELDS[key])
            wrong = ~np.isfinite(x).reshape(len(x), -1)
            bad, columns = wrong.any(axis=1), np.flatnonzero(wrong.any(axis=0))
            where = "" if x.ndim == 1 else f", column {', '.join(map(str, columns[:8]))}"
            told.append(
                f"key '{key}' is not finite in {bad.sum():,} of {len(x):,} rows, first in row "
                f"{bad.argmax():,}{where}"
            )
    return f"{'; '.join(told)}; repair or drop those rows." if told else None


def filled(columns: Columns) -> Columns:
    """The columns with plausible numbers where they are not finite, or too large to square.

    So that the other faults of such a file are found in the same go.  An observation is taken
    from what the row before led to, or from the row before; an action is 0.
    """
    following = columns.next_observation
    before = np.roll(columns.observation if following is None else following, 1, axis=0)
    observation = _held(np.where(_usable(columns.observation), columns.observation, before))
    if following is not None:
        after = np.append(observation[1:], observation[-1:], axis=0)
        following = np.where(_usable(following), following, after)
    usable = _usable(columns.reward)
    middle = np.median(columns.reward[usable]) if usable.any() else 0.0
    return columns._replace(
        observation=observation,
        action=np.where(_usable(columns.action), columns.action, np.float32(0)),
        reward=np.where(usable, columns.reward, np.float32(middle)),
        next_observation=following,
    )


def _usable(x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(x) <= OVERFLOW


def _held(x: np.ndarray) -> np.ndarray:
    """The last usable number of every column; 0 before the first."""
    usable = _usable(x)
    row = np.maximum.accumulate(np.where(usable, np.arange(len(x))[:, None], -1), axis=0)
    held = np.take_along_axis(x, np.maximum(row, 0), axis=0)
    return np.where(row < 0, np.float32(0), held)


def overflow(material: Material) -> str | None:
    """Squares of such numbers are infinite in float32."""
    return _large(material, OVERFLOW, np.inf, "whose square is infinite in float32; drop the row.")


def huge(material: Material) -> str | None:
    """Fill values and forgotten units hide the rest of a column from a network."""
    mend = "is it a fill value or an odd unit? Drop the row or scale the column."
    return _large(material, HUGE, OVERFLOW, mend)


def _large(material: Material, least: float, below: float, mend: str) -> str | None:
    for key, extremes in material.extremes.items():
        if least < extremes.size <= below:
            x = getattr(material.columns, _FIELDS[key])
            size = np.abs(x).reshape(len(x), -1).max(axis=1)
            return f"key '{key}' reaches {size.max():.3g} in row {size.argmax():,}, {mend}"
    return None
