"""The table of everything that is checked before the first update.

Errors refuse a file; warnings are listed by `data inspect` and told once when
training starts.  To add a check, write a function in `checks/` that takes the
`Material` and returns one sentence with key, row and mend, or None, and give it a
row here.
"""

from collections.abc import Callable
from typing import NamedTuple

from shared.data.checks import (
    actions,
    alignment,
    calibration,
    ends,
    finite,
    numbers,
    repeats,
    rewards,
    sensors,
)
from shared.data.checks.material import Material
from shared.data.recording.columns import Columns, Fault
from shared.environments.tasks import Environment


class Check(NamedTuple):
    """One row of the table."""

    name: str
    severity: str
    find: Callable[[Material], str | None]


def find_faults(
    columns: Columns, environment: Environment | None, *, declared: bool = False
) -> list[Fault]:
    """Every fault of these columns.

    Arguments:
        columns: all rows of the file.
        environment: the task, where it is known; its sizes and horizon are checked too.
        declared: the actions were scaled from a range that somebody declared.
    """
    material = Material(columns, environment, declared)
    faults = []
    for check in CHECKS:
        sentence = check.find(material)
        if sentence is not None:
            faults.append(Fault(check.name, check.severity, sentence))
            if check.name in _SPOILING:  # the others are looked for in what is left
                material = Material(finite.filled(columns), environment, declared)
            if check.name == "constant-observations":
                break  # what follows would only repeat it
    return faults


OF_NUMBERS = ("non-finite", "overflow", "constant-observations", "sizes", "action-range")
"""What can be told of numbers without knowing where episodes end."""
_SPOILING = ("non-finite", "overflow")

CHECKS = (
    Check("non-finite", "error", finite.non_finite),
    Check("overflow", "error", finite.overflow),
    Check("constant-observations", "error", numbers.all_constant),
    Check("sizes", "error", numbers.sizes),
    Check("action-range", "error", actions.action_range),
    Check("no-ends", "error", ends.no_ends),
    Check("inverted-flags", "error", ends.inverted),
    Check("misaligned", "error", alignment.misaligned),
    Check("shifted-actions", "error", alignment.shifted_actions),
    Check("maybe-shifted-actions", "warning", alignment.maybe_shifted_actions),
    Check("copied-actions", "warning", sensors.copied_actions),
    Check("shuffled", "warning", alignment.shuffled),
    Check("shifted-rewards", "warning", rewards.shifted_rewards),
    Check("shifted-flags", "warning", ends.shifted_flags),
    Check("all-ends", "warning", ends.all_ends),
    Check("no-timeouts", "warning", ends.no_timeouts),
    Check("both-flags", "warning", ends.both_flags),
    Check("terminal-at-limit", "warning", ends.terminal_at_limit),
    Check("too-long", "warning", ends.too_long),
    Check("one-row-episodes", "warning", ends.one_row),
    Check("seams", "warning", alignment.seams),
    Check("jumps", "warning", alignment.jumps),
    Check("leaked-resets", "warning", alignment.leaks),
    Check("zero-rewards", "warning", rewards.zero_rewards),
    Check("constant-rewards", "warning", rewards.constant_rewards),
    Check("normalised-rewards", "warning", rewards.normalised_rewards),
    Check("returns-range", "warning", rewards.returns_range),
    Check("cumulative-rewards", "warning", rewards.cumulative),
    Check("rewards-at-ends", "warning", rewards.only_at_ends),
    Check("huge", "warning", finite.huge),
    Check("outliers", "warning", numbers.outliers),
    Check("normalised-observations", "warning", numbers.normalised),
    Check("constant-columns", "warning", numbers.constant_columns),
    Check("coarse-columns", "warning", numbers.coarse_columns),
    Check("tiny-columns", "warning", numbers.tiny_columns),
    Check("clock", "warning", repeats.clock),
    Check("action-rounding", "warning", actions.action_rounding),
    Check("action-scale", "warning", actions.action_scale),
    Check("saturated-actions", "warning", actions.saturated),
    Check("constant-actions", "warning", actions.constant_actions),
    Check("constant-motors", "warning", actions.constant_motors),
    Check("duplicates", "warning", repeats.duplicates),
    Check("duplicated-episodes", "warning", repeats.duplicated_episodes),
    Check("padding", "warning", repeats.padding),
    Check("frozen", "warning", repeats.frozen),
    Check("stuck-sensors", "warning", sensors.stuck_sensors),
    Check("calibration", "warning", calibration.calibration),
)
