"""What data and simulator said of the last policies of runs: their `judged.csv`, if they have one.

Written by `shared/choice/judged.py`, which says what the numbers are.
"""

from typing import NamedTuple

from shared.comparison.csv_tables import read_rows
from shared.comparison.record import Run
from shared.errors import RunError
from shared.record.schema import JUDGED_COLUMNS, JUDGED_FILE


class Judged(NamedTuple):
    """Of one seed; None where the method has none.

    Attributes:
        width: half width of the policy's box, in standard deviations of the latents.
        distance: root mean square of its actions less the recorded ones, in standard deviations
            of the recorded actions.
        beyond: share of its (s, a) farther from the data than 99 % of the recorded ones.
        believed: value at the starts of episodes by its critics, in their units.
        earned: what the policy earns from there on, in the same.
        unit: standard deviation of the data's discounted returns, in the same.
    """

    width: float | None
    distance: float
    beyond: float
    believed: float | None
    earned: float | None
    unit: float | None

    @property
    def value_error(self) -> float | None:
        """Believed less earned, in standard deviations of the data's discounted returns."""
        if self.believed is None or self.earned is None or not self.unit:
            return None
        return (self.believed - self.earned) / self.unit


def read_judged(run: Run) -> dict[int, Judged]:
    """Seed -> what was found; empty if the run was not judged.

    Raises:
        RunError: a file is damaged.
    """
    found = {}
    for folder in run.folders:
        file = folder / JUDGED_FILE
        if not file.exists():
            continue
        for row in read_rows(file, JUDGED_COLUMNS, running=False):
            try:
                numbers = [float(row[n]) if row[n] else None for n in JUDGED_COLUMNS[2:]]
                found[int(row["seed"])] = Judged(*numbers)
            except ValueError as error:
                raise RunError(f"{file} is damaged ({error}); remove it.") from None
    return found
