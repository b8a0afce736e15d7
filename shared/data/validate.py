"""The table of everything that is checked before the first update.

Errors refuse a file; warnings are listed by `data inspect` and told once when
training starts.  To add a check, write a function in `checks.py` and give it a
row here.
"""

from collections.abc import Callable
from typing import NamedTuple

from shared.data import checks
from shared.data.catalog import Environment
from shared.data.columns import Columns, Fault


class Check(NamedTuple):
    """One row of the table."""

    name: str
    severity: str
    find: Callable[[Columns, Environment | None], str | None]


def find_faults(columns: Columns, environment: Environment | None) -> list[Fault]:
    """Every fault of these columns.

    Arguments:
        columns: all rows of the file.
        environment: the task, where it is known; its sizes and horizon are checked too.
    """
    faults = []
    for check in CHECKS:
        sentence = check.find(columns, environment)
        if sentence is not None:
            faults.append(Fault(check.name, check.severity, sentence))
            if check.severity == "error" and check.name in _FATAL:
                break  # what follows would only repeat it
    return faults


_FATAL = ("non-finite", "constant-observations")

CHECKS = (
    Check("non-finite", "error", checks.non_finite),
    Check("constant-observations", "error", checks.all_constant),
    Check("sizes", "error", checks.sizes),
    Check("action-range", "error", checks.action_range),
    Check("no-ends", "error", checks.no_ends),
    Check("misaligned", "error", checks.misaligned),
    Check("action-rounding", "warning", checks.action_rounding),
    Check("no-timeouts", "warning", checks.no_timeouts),
    Check("both-flags", "warning", checks.both_flags),
    Check("terminal-at-limit", "warning", checks.terminal_at_limit),
    Check("too-long", "warning", checks.too_long),
    Check("seams", "warning", checks.seams),
    Check("leaked-resets", "warning", checks.leaks),
    Check("zero-rewards", "warning", checks.zero_rewards),
    Check("constant-columns", "warning", checks.constant_columns),
    Check("constant-actions", "warning", checks.constant_actions),
    Check("duplicates", "warning", checks.duplicates),
)
