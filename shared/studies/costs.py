"""What the runs of a study will take: time, memory and disk, by the estimates of single runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from shared.data.catalog import Entry, lookup_own
from shared.runs import estimates, members
from shared.studies.jobs import Job

OWN_ROWS = 1_000_000
"""Of a file of one's own, which nobody has read yet."""


class Cost(NamedTuple):
    """Of one job.

    Attributes:
        seconds: of all updates on one core or device.
        memory: bytes on the device and on the host.
        disk: bytes of the checkpoints.
    """

    seconds: float
    memory: tuple[int, int]
    disk: int


def costs_of(jobs: Sequence[Job]) -> dict[Path, Cost]:
    """Folder -> cost; nothing for data whose sizes are not known before they are read."""
    rate, found = estimates.product_rate(), {}
    for job in jobs:
        entry = None if job.data.name is None else lookup_own(job.data.name)
        if entry is None:
            continue
        cost = estimates.costs_of_task(job.plan, entry.environment)
        found[job.folder] = _cost(job, entry, cost, rate)
    return found


def _cost(job: Job, entry: Entry, cost: estimates.Costs, rate: float) -> Cost:
    settings = job.plan.settings
    rows = min(settings.rows, entry.rows or OWN_ROWS) if job.data.file is None else OWN_ROWS
    count = len(members.combinations(job.row.sweep))
    kept = count * cost.state_bytes * (settings.keep_checkpoints + 1)  # and the best one
    return Cost(count * cost.seconds(rate), cost.memory(rows), kept)
