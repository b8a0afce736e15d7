"""Columns that belong to other rows: successors, actions, and the order of the rows."""

import numpy as np

from shared.data.checks.linear import Products
from shared.data.checks.material import Material, inner_rows
from shared.data.recording.ends import leaked_resets

MISALIGNED_SHARE = 0.2
"""Fewer rows that do not continue are episode ends without a flag; more, a wrong column."""
_GAIN, _RATIO = 0.03, 4.0  # measured on recorded sets of nine tasks: 0.07 to 0.55, 5 to 1000


def misaligned(material: Material) -> str | None:
    """Next observations that belong to other rows make every bootstrap wrong."""
    share = material.broken.mean()
    if share <= MISALIGNED_SHARE:
        return None
    return (
        f"key 'next_observations' is not the next row's observation in {share:.1%} of the rows "
        f"within episodes, first in row {material.broken.argmax():,}{_instead(material)}; store "
        "the observation that the action led to, or drop the key."
    )


def _instead(material: Material) -> str:
    """What next observations are, where they are not the next row's."""
    observation, following = material.columns.observation, material.columns.next_observation
    rows = inner_rows(material.flagged)
    if following is None or not len(rows):
        return ""
    for offset, told in ((0, "the row's own"), (2, "the one two rows on"), (-1, "the row before")):
        if (following[rows] == observation[rows + offset]).all(axis=1).mean() > 0.9:
            return f" (it is {told})"
    return ""


def seams(material: Material) -> str | None:
    """A seam between files, or a file that broke off, is an end without a flag."""
    broken = material.broken
    if not broken.any() or broken.mean() > MISALIGNED_SHARE:
        return None
    return (
        f"{broken.sum():,} rows (first {broken.argmax():,}) end an episode without 'terminals' or "
        "'timeouts', because the next row does not continue them; episodes are cut there."
    )


def jumps(material: Material) -> str | None:
    """A reset in the middle of an episode looks like a step of the robot."""
    found = material.jumps
    if not found.any() or shuffled(material) is not None:
        return None
    inside = len(found) - int(material.flagged.sum())
    return (
        f"{found.sum():,} of {inside:,} rows without an end flag (first {found.argmax():,}) are "
        "followed by a row that no step leads to; flag the last row of every episode, or let "
        "episodes be cut there with --set cut_jumps=true."
    )


def leaks(material: Material) -> str | None:
    """Recorders that store the observation after the reset lose the true successor."""
    leaked = leaked_resets(material.columns, material.episodes.last, material.environment)
    if not leaked.any():
        return None
    return (
        f"key 'next_observations' holds the next episode's start at {leaked.sum():,} episode ends, "
        f"first in row {leaked.argmax():,}; those rows are left out."
    )


def shuffled(material: Material) -> str | None:
    """Rows in random order have no episodes, and no successors but those that are stored."""
    rows, (_, std) = material.inner, material.scaled
    if len(rows) < 200:
        return None
    x = material.columns.observation
    step = ((x[rows + 1] - x[rows]) / np.maximum(std, 1e-6)).astype(np.float64)
    share = float(np.square(step[:, std > 1e-6]).mean()) / 2
    if share < 0.85:
        return None
    return (
        "key 'observations' differs as much between neighbouring rows as between any two, as if "
        "the rows were shuffled; store episodes in the order of time."
    )


def shifted_actions(material: Material) -> str | None:
    """Both signs of the other convention at once: nobody could act on what he is yet to see."""
    if not (_zero_start(material) and _explains(material) == 1):
        return None
    return (
        "key 'actions' is zero in the first row of every episode and explains the step before it, "
        "so it seems to hold the action that led to a row (first in row 0); move actions one row "
        "up, so that they are taken at their observation."
    )


def maybe_shifted_actions(material: Material) -> str | None:
    """One sign alone may have another reason."""
    zero, offset = _zero_start(material), _explains(material)
    if zero and offset == 1:
        return None  # told as an error
    if shuffled(material) is not None:
        return None  # and nothing explains a step
    if offset:
        where = "before" if offset == 1 else "after"
        return (
            f"key 'actions' explains the step {where} its row better than the one that its row "
            f"takes; are actions stored one row too {'late' if offset == 1 else 'early'}?"
        )
    if zero:
        return (
            "key 'actions' is zero in the first row of every episode (first in row 0) and hardly "
            "elsewhere; is it the action that led to a row? Then move actions one row up."
        )
    return None


def _zero_start(material: Material) -> bool:
    """Is the action zero where episodes begin, and hardly anywhere else?"""
    action, first = material.columns.action, material.first
    if len(first) < 3 or action[first].any():
        return False
    zero = np.flatnonzero(action[:, 0] == 0)
    return int((action[zero] == 0).all(axis=1).sum()) < 1.1 * len(first) + 0.01 * len(action)


def _explains(material: Material) -> int:
    """Which row's action explains a step, given the state: 0 its own, 1 the next, -1 the last.

    A policy's next action tells of the state that it is taken in, so gains are compared
    beyond each other: of the next row's action when the own one is known, and the reverse.
    """
    rows, columns = material.inner, material.columns
    moving = material.scaled[1] > 1e-8
    if len(rows) < max(500, 10 * (moving.sum() + 2 * columns.action.shape[1] + 1)):
        return 0
    state = columns.observation[:, moving]
    products = Products(
        state=state[rows],
        step=state[rows + 1] - state[rows],
        **{f"action{offset}": columns.action[rows + offset] for offset in (-1, 0, 1)},
    )
    blind = max(products.unexplained("step", "state"), 1e-9)

    def gain(*offsets: int) -> float:
        given = (f"action{offset}" for offset in offsets)
        return 1 - products.unexplained("step", "state", *given) / blind

    own = gain(0)
    for offset in (1, -1):
        other, both = gain(offset), gain(0, offset)
        if both - own > max(_GAIN, _RATIO * (both - other)):
            return offset
    return 0
