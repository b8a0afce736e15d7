"""Numbers that cannot be right: not finite, too large, out of range, or never changing."""

import numpy as np

from shared.data.checks.material import SAMPLE, Material
from shared.data.recording.columns import Columns
from shared.data.recording.units import is_coarse
from shared.environments.tasks import environments

ACTION_TOLERANCE = 1e-3
"""Actions this far beyond ±1 are rounding and are clipped with a warning."""
OVERFLOW, HUGE = 1e18, 1e6
"""Float32 cannot square the first; the second is no unit that a sensor is read in."""
OUTLIER_SPREADS = 50.0
"""Farther out than this many times the range of 98 % of the rows is a glitch."""
SATURATED_SHARE = 0.95
_TINY, _FAR = 1e-4, 1e3

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


def coarse_columns(material: Material) -> str | None:
    """Far from zero, float32 holds a few values only: the rest was lost when it was stored."""
    x = material.columns.observation
    coarse = np.flatnonzero(is_coarse(x) & (np.abs(x[0]) > _FAR))
    if not len(coarse):
        return None
    k = int(coarse[0])
    sample = x[:: max(1, len(x) // SAMPLE), k]
    return (
        f"key 'observations' holds only {len(np.unique(sample)):,} different values in column "
        f"{', '.join(map(str, coarse[:8]))}, because float32 has seven digits and the column is "
        f"near {np.median(sample):,.6g}; subtract that before it is stored."
    )


def tiny_columns(material: Material) -> str | None:
    """A unit so large that an algorithm which does not normalise hardly sees the column."""
    mean, std = material.scaled
    tiny = np.flatnonzero((std > 0) & (std < _TINY) & (std > 1e-6 * np.abs(mean)))
    if not len(tiny):
        return None
    return (
        f"key 'observations' has a deviation of {std[tiny[0]]:.3g} in column "
        f"{', '.join(map(str, tiny[:8]))}, which algorithms that do not normalise hardly see; "
        "store it in a smaller unit."
    )


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


def outliers(material: Material) -> str | None:
    """One glitch of a sensor sets the spread that everything is normalised by."""
    (low, high), usual = material.extremes["observations"], material.usual
    far, spread = np.maximum(high - usual[1], usual[0] - low), usual[1] - usual[0]
    column = int(np.argmax(far / np.maximum(spread, 1e-12) * (spread > 0)))
    if spread[column] == 0 or far[column] <= OUTLIER_SPREADS * spread[column]:
        return None
    x = material.columns.observation[:, column]
    row = int(x.argmax() if high[column] - usual[1][column] == far[column] else x.argmin())
    beside = x[[i for i in (row - 1, row + 1) if 0 <= i < len(x)]]
    if (np.abs(beside - x[row]) < 0.5 * far[column]).any():
        return None  # a state that is seldom visited, not a spike
    return (
        f"key 'observations' is {x[row]:.4g} in row {row:,}, column {column}, but 98% of the rows "
        f"there lie within {usual[0][column]:.4g} and {usual[1][column]:.4g}; drop such glitches."
    )


def sizes(material: Material) -> str | None:
    """A file of another task would train, and never score."""
    environment, columns = material.environment, material.columns
    if environment is None:
        return None
    sizes = columns.observation.shape[1], columns.action.shape[1]
    wanted = environment.observation_size, environment.action_size
    if sizes == wanted:
        return None
    fitting = [
        x.name for x in environments().values() if (x.observation_size, x.action_size) == sizes
    ]
    if sizes == wanted[::-1]:
        mend = "rename 'observations' to 'actions' and the reverse"
    elif fitting:
        mend = f"name the data set that this file is (such sizes has {' or '.join(fitting[:3])})"
    else:
        mend = "name the data set that this file is"
    return (
        f"observations and actions have {sizes[0]} and {sizes[1]} values a row, but "
        f"{environment.name} has {wanted[0]} and {wanted[1]}; {mend}."
    )


def action_range(material: Material) -> str | None:
    """Policies answer within ±1, so such actions could never be imitated."""
    if material.extremes["actions"].size <= 1 + ACTION_TOLERANCE:
        return None
    size = np.abs(material.columns.action)
    rows = (size > 1 + ACTION_TOLERANCE).any(axis=1)
    swapped = material.extremes["observations"].size <= 1 + ACTION_TOLERANCE
    mend = "; or are they 'observations', and the two keys swapped?" if swapped else "."
    if material.declared:
        return (
            f"key 'actions' lies beyond its declared range in {rows.mean():.1%} of the rows, first "
            f"in row {rows.argmax():,}; correct the range (action_low and action_high), or clip."
        )
    return (
        f"key 'actions' lies beyond ±1 in {rows.mean():.1%} of the rows (largest size "
        f"{size.max():.4g}, first in row {rows.argmax():,}); declare the range of the commands, as "
        "attributes 'action_low' and 'action_high' or with --set action_range=[low,high], or clip "
        f"or scale the actions to ±1{mend}"
    )


def action_rounding(material: Material) -> str | None:
    """A little beyond ±1 is the rounding of a tanh or a clip."""
    largest = material.extremes["actions"].size
    if not 1 < largest <= 1 + ACTION_TOLERANCE:
        return None
    rows = (np.abs(material.columns.action) > 1).any(axis=1)
    return (
        f"key 'actions' lies up to {largest - 1:.1e} beyond ±1 in {rows.mean():.1%} of the rows, "
        f"first in row {rows.argmax():,}; clipped."
    )


def action_scale(material: Material) -> str | None:
    """Actions scaled to 0..1, or twice, use a part of what the simulator takes."""
    low, high = material.extremes["actions"]
    if material.extremes["actions"].size == 0:
        return None
    if (low >= 0).all() and (high <= 1 + ACTION_TOLERANCE).all() and len(low) > 1:
        return "key 'actions' is nowhere negative; if it is scaled to 0..1, scale it to ±1."
    if (largest := material.extremes["actions"].size) >= 0.05:
        return None
    return (
        f"key 'actions' never exceeds {largest:.2g} in size; if it is scaled twice, scale it to ±1."
    )


def saturated(material: Material) -> str | None:
    """A clipped or discrete action has lost what it was."""
    action = material.columns.action
    action = action[:: max(1, len(action) // 100_000)]
    share = float((np.abs(action) >= 0.999).mean())
    if share < SATURATED_SHARE:
        return None
    return (
        f"key 'actions' is at ±1 in {share:.1%} of its values; if they were clipped, scale them to "
        "±1 instead."
    )


def all_constant(material: Material) -> str | None:
    """An observation that never changes carries nothing."""
    low, high = material.extremes["observations"]
    if (low != high).any():
        return None
    return "key 'observations' is the same in every row; store what the agent saw."


def constant_columns(material: Material) -> str | None:
    """A constant column has no spread to normalise by."""
    told = _constant(material, "observations")
    return (
        f"key 'observations' never changes in column {told}; normalising divides by a floor there, "
        "leave such columns out."
        if told
        else None
    )


def constant_actions(material: Material) -> str | None:
    """One action only has nothing to compare it with."""
    low, high = material.extremes["actions"]
    if (low != high).any():
        return None
    return (
        "key 'actions' is the same in every row, so nothing can be learned of other actions; store "
        "what was sent to the motors."
    )


def constant_motors(material: Material) -> str | None:
    """A motor that never moves, or an action that was padded."""
    told = _constant(material, "actions")
    return (
        f"key 'actions' never changes in column {told}; is that motor unused? Leave it out."
        if told
        else None
    )


def _constant(material: Material, key: str) -> str:
    """The constant columns of a key, if there are others too."""
    low, high = material.extremes[key]
    constant = np.flatnonzero(low == high)
    if not 0 < len(constant) < len(low):
        return ""
    return ", ".join(map(str, constant[:8])) + (", ..." if len(constant) > 8 else "")


def normalised(material: Material) -> str | None:
    """A policy of normalised observations meets raw ones in the simulator."""
    if material.environment is None or len(material.columns.reward) < 100:
        return None
    mean, std = material.scaled
    moving = std > 1e-6
    if moving.sum() < 2 or (np.abs(mean[moving]) > 0.02).any():
        return None
    if (np.abs(std[moving] - 1) > 0.02).any():
        return None
    return (
        "key 'observations' has mean 0 and deviation 1 in every column, but "
        f"{material.environment.name} gives raw values; store them as the simulator gave them."
    )
