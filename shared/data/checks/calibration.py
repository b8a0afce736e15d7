"""Columns that are shifted from an episode on, as when a joint is zeroed anew."""

from typing import NamedTuple

import numpy as np

from shared.data.checks.material import Material, first_columns
from shared.data.checks.sensors import standard

_EPISODES, _SIDE = 8, 3
"""Fewest episodes that are looked at, and on either side of a shift."""
_SHIFT = 8.0
"""Spreads of the episodes of a side that a shift is larger than."""
_COMMANDED = 0.9
"""Share of a column's variance that a line of its command explains."""


class Change(NamedTuple):
    """A column that is shifted from an episode on: by how much, and how far it else varies."""

    column: int
    episode: int
    shift: float
    spread: float


def calibration(material: Material) -> str | None:
    """A column is shifted from an episode on, as when a joint is zeroed anew."""
    found = changes(material)
    if not found:
        return None
    first = max(found, key=lambda c: abs(c.shift) / c.spread)
    columns = sorted({c.column for c in found})
    told = first_columns(columns)
    row = int(material.first[first.episode])
    return (
        f"key 'observations' is shifted by about {first.shift:.3g} in column {first.column} from "
        f"episode {first.episode:,} (row {row:,}) on, against its commands or at all its levels "
        f"alike (columns {told}); was a sensor calibrated anew? Then correct one of the two parts."
    )


def changes(material: Material) -> list[Change]:
    """The shifts of `calibration`.

    Where an action is the command for a column (a line explains nine tenths of it), what the
    column differs from its command by, the mean of each episode; else its start, and what 5, 50
    and 95 % of the episode lie below, all of them shifted alike.
    """
    x, first = material.columns.observation.astype(np.float64), material.first
    count = len(first)
    if count < _EPISODES or count > len(x) / 5:
        return []
    ends = np.append(first[1:], len(x))
    error = _errors(material, first, ends)
    found = []
    for column in range(x.shape[1]):
        levels = [
            np.array([x[a, column], *np.quantile(x[a:b, column], (0.05, 0.5, 0.95))])
            for a, b in zip(first, ends, strict=True)
        ]
        change = _shifted_alike(np.array(levels))
        change = change or (_shifted(error[column]) if column in error else None)
        if change is not None:
            found.append(Change(column, *change))
    return found


def _errors(material: Material, first: np.ndarray, ends: np.ndarray) -> dict[int, np.ndarray]:
    """Column of an observation -> mean of each episode of what it differs from its command by."""
    rows, columns = material.inner, material.columns
    if len(rows) < 200:
        return {}
    number = material.episodes.number[rows]
    # Within episodes a shift between them hides nothing; over all, joints that rest in each count.
    own = _commands(*(_centred(x, number, rows) for x in (columns.action, columns.observation)))
    own = _commands(columns.action[rows], columns.observation[rows]) | own
    found = {}
    for column, (command, slope) in own.items():
        left = columns.observation[:, column] - slope * columns.action[:, command]
        found[column] = np.add.reduceat(left, first) / (ends - first)
    return found


def _commands(action: np.ndarray, seen: np.ndarray) -> dict[int, tuple[int, float]]:
    """Column of an observation -> the action that a line takes to it, and its slope."""
    product = np.einsum("ij,ik->jk", standard(action), standard(seen)) / len(seen)
    best = np.square(product).argmax(axis=0)
    found = {}
    for column, own in enumerate(best):
        correlation = float(product[own, column])
        if correlation**2 > _COMMANDED:
            spread = max(float(action[:, own].std(dtype=np.float64)), 1e-9)
            slope = correlation * float(seen[:, column].std(dtype=np.float64)) / spread
            found[column] = int(own), slope
    return found


def _centred(x: np.ndarray, number: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows less the mean of those of their episode."""
    x = x[rows].astype(np.float64)
    starts = np.append(0, np.flatnonzero(np.diff(number)) + 1)
    counts = np.diff(np.append(starts, len(rows)))
    return x - np.repeat(np.add.reduceat(x, starts) / counts[:, None], counts, axis=0)


def _split(x: np.ndarray) -> int:
    """The episode from which on the mean is another, by least squares."""
    count = len(x)
    splits = np.arange(_SIDE, count - _SIDE + 1)
    sums = np.cumsum(x - x.mean())
    before = np.square(sums[splits - 1]) / splits
    after = np.square(sums[-1] - sums[splits - 1]) / (count - splits)
    return int(splits[np.argmax(before + after)])


def _shifted(x: np.ndarray) -> tuple[int, float, float] | None:
    """Episode, shift and spread, if the two sides lie clearly apart."""
    split = _split(x)
    sides = x[:split], x[split:]
    middle = [float(np.median(side)) for side in sides]
    shift = middle[1] - middle[0]
    spread = max(float(np.median(np.abs(y - m))) for y, m in zip(sides, middle, strict=True))
    spread = 1.5 * spread + 1e-6 * float(np.abs(x).max()) + 1e-12
    own = (np.abs(x - middle[0]) > np.abs(x - middle[1])) == (np.arange(len(x)) >= split)
    return (split, shift, spread) if abs(shift) > _SHIFT * spread and own.mean() > 0.95 else None


def _shifted_alike(level: np.ndarray) -> tuple[int, float, float] | None:
    """The same of all levels of a column, (episodes, 4)."""
    found = [_shifted(x) for x in level.T]
    if any(x is None for x in found) or len({x[0] for x in found if x}) > 1:
        return None
    shift = np.array([x[1] for x in found if x])
    alike = np.abs(shift).min() > 0.6 * np.abs(shift).max() and len({*np.sign(shift)}) == 1
    return found[0] if alike else None
