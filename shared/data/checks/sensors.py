"""What goes wrong on real robots: actions that are states, and sensors that stop."""

from typing import NamedTuple

import numpy as np

from shared.data.checks.material import Material, first_columns

EQUAL, BETTER = 1e-8, 100.0
"""Share of the variance that rounding leaves; how much better than any other row's."""
_STRETCH, _USUAL = 30, 0.9
_JUMP, _OFTEN = 3.0, 5
"""A sensor that comes back shows what it missed: a jump of so many usual steps.  A thing that lies
still goes on from where it lay; a column that did so so often is that of a thing."""


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
    action = standard(columns.action[rows])
    moving = np.flatnonzero(action.any(axis=0))
    if not len(moving):
        return None
    left = []
    for offset in (-1, 0, 1):
        seen = standard(columns.observation[rows + offset])
        product = np.einsum("ij,ik->jk", action[:, moving], seen) / len(rows)
        left.append(1 - np.square(product))
    left = np.maximum(np.array(left), 1e-12)  # (offset, action, observation)
    best, nearest = left.min(axis=2), left.argmin(axis=2)
    place = int(best.max(axis=1).argmin())
    others = np.delete(best, place, axis=0).min(axis=0)
    if best[place].max() > EQUAL or (others < BETTER * np.maximum(best[place], EQUAL)).any():
        return None
    return place - 1, [(int(a), int(o)) for a, o in zip(moving, nearest[place], strict=True)]


def standard(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1 in float64; columns that rest are 0."""
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
    told = first_columns(columns)
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
        step = np.abs(np.diff(x[:, column].astype(np.float64)))
        stretches, jumps = [], []
        held = np.flatnonzero(np.diff(np.pad(still[:, column] & inside, 1).astype(np.int8)))
        for start, stop in held.reshape(-1, 2):
            if stop - start >= _STRETCH and moving[start:stop].mean() > 0.9:
                stretches.append(Stuck(int(column), int(start), int(stop - start + 1)))
                if stop < len(step) and inside[stop]:
                    jumps.append(step[stop])
        often = len(jumps) >= _OFTEN
        if not often or np.median(jumps) > _JUMP * np.median(step[inside & ~still[:, column]]):
            found += stretches
    return sorted(found, key=lambda s: s.row)
