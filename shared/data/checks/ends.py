"""Flags that cannot be right: where episodes end, and how."""

import numpy as np

from shared.data.checks.material import Material
from shared.environments.tasks import CONTINUING, TERMINALS_INSIDE

_REACH = 200
"""Rows on either side of a flag in which the jump of a reset is looked for."""


def no_ends(material: Material) -> str | None:
    """Without any end, the step from one episode's last row into the next looks like dynamics."""
    columns = material.columns
    known = material.environment is not None
    if known and (material.quirk == CONTINUING or columns.timeout is None):
        return None
    if columns.terminal.any() or (columns.timeout is not None and columns.timeout.any()):
        return None
    if columns.timeout is None:
        return "key 'timeouts' is missing and no row is terminal; add a true at each episode's end."
    return "no row of 'terminals' or 'timeouts' is true; set 'timeouts' at each episode's last row."


def inverted(material: Material) -> str | None:
    """A mask that is 1 while the episode goes on, stored as a flag that is 1 where it ends."""
    rows = len(material.columns.reward)
    for key, flag in (
        ("terminals", material.columns.terminal),
        ("timeouts", material.columns.timeout),
    ):
        count = 0 if flag is None else int(flag.sum())
        if key == "terminals" and material.quirk == TERMINALS_INSIDE:
            continue
        if flag is not None and 0.8 * rows < count < rows:
            return (
                f"key '{key}' is true in {count:,} of {rows:,} rows, first in row "
                f"{flag.argmax():,}; if it says where an episode goes on, invert it."
            )
    return None


def all_ends(material: Material) -> str | None:
    """Episodes of one row have no next observation to learn from."""
    columns = material.columns
    for key, flag in (("terminals", columns.terminal), ("timeouts", columns.timeout)):
        if flag is not None and flag.all():
            return (
                f"key '{key}' is true in every row, so every episode has one; if the task has "
                "several steps, set it at the last row of an episode only."
            )
    return None


def no_timeouts(material: Material) -> str | None:
    """Old files leave the time limit to the reader."""
    if material.columns.timeout is not None:
        return None
    if material.environment is not None and material.environment.horizon > 0:
        return (
            f"key 'timeouts' is missing; episodes are cut every {material.environment.horizon} "
            f"rows, the horizon of {material.environment.name}."
        )
    return "key 'timeouts' is missing; only terminal rows end an episode."


def both_flags(material: Material) -> str | None:
    """The robot fell on the very last step (where a terminal is a success, both are right)."""
    known = material.environment
    if material.columns.timeout is None or (known is not None and known.by_success):
        return None
    both = material.columns.terminal & material.columns.timeout
    if not both.any():
        return None
    return (
        f"{both.sum():,} rows are both terminal and timeout, first row {both.argmax():,}; they are "
        "read as terminal, so clear 'terminals' where only the time was up."
    )


def terminal_at_limit(material: Material) -> str | None:
    """Time limits stored as terminals teach that life ends there."""
    if material.quirk:
        return None
    ends = np.flatnonzero(material.columns.terminal)
    lengths = np.diff(ends, prepend=-1)
    known = material.environment
    limit = known.horizon if known is not None else lengths.max(initial=0)
    at_limit = int((lengths == limit).sum())
    if limit < 2 or len(ends) < 2 or at_limit < 0.5 * len(ends):
        return None
    return (
        f"{at_limit} of {len(ends)} terminals come exactly {limit} rows after the one before, "
        f"first in row {ends[lengths.tolist().index(limit)]:,}; if that is the time limit, they "
        "belong into 'timeouts'."
    )


def too_long(material: Material) -> str | None:
    """Episodes longer than the environment allows hide an end (not OGBench's, of no one task)."""
    known = material.environment
    if known is None or known.horizon <= 0 or known.by_success:
        return None
    lengths = material.episodes.lengths
    longest = int(lengths.argmax())
    if lengths[longest] <= known.horizon + 1:
        return None
    return (
        f"the longest episode has {lengths[longest]:,} rows from row {material.first[longest]:,}, "
        f"but {known.name} stops after {known.horizon:,}; some "
        "'timeouts' may be missing."
    )


def one_row(material: Material) -> str | None:
    """Flags at both ends of an episode cut off its first or last row."""
    short = material.episodes.lengths == 1
    if short.all() or short.sum() < max(3, 0.1 * len(short)):
        return None
    return (
        f"{short.sum():,} of {len(short):,} episodes have one row, first row "
        f"{material.first[short.argmax()]:,}; flag the last row of an episode only."
    )


def shifted_flags(material: Material) -> str | None:
    """The jump to the next episode's start comes some rows before or after the flag."""
    offset = flag_offset(material)
    if not offset:
        return None
    rows = "one row" if abs(offset) == 1 else f"{abs(offset)} rows"
    when, where = ("late", "before") if offset < 0 else ("early", "behind")
    return (
        f"'terminals' and 'timeouts' seem to come {rows} {when}, first in row "
        f"{material.flagged.argmax():,}: observations jump {where} the flagged rows; flag the last "
        "row of each episode."
    )


def flag_offset(material: Material) -> int:
    """How many rows behind the flagged ones observations jump, before them if negative; 0 if at.

    The mean square of the step, in deviations, is compared over all ends at once, so resets
    that no single step betrays are found as well.
    """
    observation, std = material.columns.observation, material.scaled[1]
    ends = np.flatnonzero(material.flagged)
    # Farther away than half an episode, the flag of the one before is nearer.
    reach = min(int(np.diff(ends, prepend=-1).max(initial=2)) // 2 + 1, _REACH)
    ends = ends[(ends > reach) & (ends < len(observation) - reach - 2)]
    if len(ends) < 5 or material.quirk == CONTINUING:
        return 0
    ends = ends[:: max(1, len(ends) // 200)]

    def jump(rows: np.ndarray) -> float:
        step = (observation[rows + 1] - observation[rows]) / np.maximum(std, 1e-6)
        return float(np.median(np.square(step, dtype=np.float64).mean(1)))

    usual, flagged = jump(material.inner) if len(material.inner) else 0.0, jump(ends)
    offsets = sorted((k for k in range(-reach, reach + 1) if k), key=abs)
    found = [jump(ends + k) for k in offsets]
    best = int(np.argmax(found))
    return offsets[best] if found[best] > max(3 * flagged, 2 * usual) else 0
