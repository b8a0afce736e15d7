"""Observations that cannot be right: glitches, lost digits, odd units, or never changing."""

import numpy as np

from shared.data.checks.material import SAMPLE, Material, constant_of
from shared.data.recording.units import is_coarse
from shared.environments.tasks import environments

OUTLIER_SPREADS = 50.0
"""Farther out than this many times the range of 98 % of the rows is a glitch."""
_TINY, _FAR = 1e-4, 1e3


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


def all_constant(material: Material) -> str | None:
    """An observation that never changes carries nothing."""
    low, high = material.extremes["observations"]
    if (low != high).any():
        return None
    return "key 'observations' is the same in every row; store what the agent saw."


def constant_columns(material: Material) -> str | None:
    """A constant column has no spread to normalise by."""
    told = constant_of(material, "observations")
    return (
        f"key 'observations' never changes in column {told}; normalising divides by a floor there, "
        "leave such columns out."
        if told
        else None
    )


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
