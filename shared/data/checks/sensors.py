"""What goes wrong on real robots: actions that are states, sensors that stop, new calibrations."""

from typing import NamedTuple

import numpy as np

from shared.data.checks.material import Material

EQUAL, BETTER = 1e-8, 100.0
"""Share of the variance that rounding leaves; how much better than any other row's."""
_STRETCH, _USUAL = 30, 0.9
_EPISODES, _SIDE, _SHIFT, _COMMANDED = 8, 3, 8.0, 0.9


def copied_actions(material: Material) -> str | None:
    """An action that is a state of this or a neighbouring row was written down, not commanded."""
    found = _copied(material)
    if found is None:
        return None
    offset, columns = found
    told = ", ".join(f"{a} is {o}" for a, o in columns[:3]) + (", ..." if len(columns) > 3 else "")
    which = {0: "its own row", 1: "the next row", -1: "the row before"}[offset]
    mend = {
        0: "to imitate it is to hold still",
        1: "if states were stored in the place of commands, record the commands",
        -1: "no action can be taken at the state before it, so move actions one row up",
    }[offset]
    return (
        f"key 'actions' equals the observation of {which} (column of the action, of the "
        f"observation: {told}), up to a scale; {mend}."
    )


def _copied(material: Material) -> tuple[int, list[tuple[int, int]]] | None:
    """Row and pairs of columns, if every action that moves is an observation of one row."""
    rows, columns = material.inner, material.columns
    if len(rows) < 200:
        return None
    action = _standard(columns.action[rows])
    moving = np.flatnonzero(action.any(axis=0))
    if not len(moving):
        return None
    left = []
    for offset in (-1, 0, 1):
        seen = _standard(columns.observation[rows + offset])
        product = np.einsum("ij,ik->jk", action[:, moving], seen) / len(rows)
        left.append(1 - np.square(product))
    left = np.maximum(np.array(left), 1e-12)  # (offset, action, observation)
    best, nearest = left.min(axis=2), left.argmin(axis=2)
    place = int(best.max(axis=1).argmin())
    others = np.delete(best, place, axis=0).min(axis=0)
    if best[place].max() > EQUAL or (others < BETTER * np.maximum(best[place], EQUAL)).any():
        return None
    return place - 1, [(int(a), int(o)) for a, o in zip(moving, nearest[place], strict=True)]


def _standard(x: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 in float64; columns that rest are 0."""
    x = x.astype(np.float64)
    spread = x.std(axis=0)
    return np.where(spread > 1e-9, (x - x.mean(axis=0)) / np.maximum(spread, 1e-9), 0.0)


class Stuck(NamedTuple):
    """A sensor that stood still: its column, the first row and how many rows."""

    column: int
    row: int
    rows: int


def stuck_sensors(material: Material) -> str | None:
    """A column that stands still while the others move, though it moves at all other times."""
    found = stuck(material)
    if not found:
        return None
    first = found[0]
    columns = sorted({x.column for x in found})
    told = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
    return (
        f"key 'observations' stands still for {first.rows:,} rows from row {first.row:,} on in "
        f"column {first.column}, which else moves in every row ({len(found):,} such stretches, "
        f"columns {told}); if a sensor stopped there, leave those episodes out."
    )


def stuck(material: Material) -> list[Stuck]:
    """Every stretch of `_STRETCH` rows or more, of columns that else move in nearly every row."""
    x, last = material.columns.observation, material.episodes.last
    if len(x) < 2 * _STRETCH:
        return []
    inside = ~last[:-1]
    still = x[1:] == x[:-1]
    moves = 1 - (still & inside[:, None]).sum(0) / max(int(inside.sum()), 1)
    lively = np.flatnonzero(moves > _USUAL)
    if len(lively) < 2:
        return []
    moving = (~still[:, lively]).mean(axis=1) >= 0.5  # the robot is not at rest
    found = []
    for column in lively:
        held = np.flatnonzero(np.diff(np.pad(still[:, column] & inside, 1).astype(np.int8)))
        for start, stop in held.reshape(-1, 2):
            if stop - start >= _STRETCH and moving[start:stop].mean() > 0.9:
                found.append(Stuck(int(column), int(start), int(stop - start + 1)))
    return sorted(found, key=lambda s: s.row)


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
    told = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
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
    product = np.einsum("ij,ik->jk", _standard(action), _standard(seen)) / len(seen)
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
