"""What runs cost: time, CPU time, memory, parameters, and on which device."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.comparison.numbers import format_count
from shared.comparison.panels import time_unit
from shared.comparison.record import Origin, Run

COLUMNS = (
    "data set", "algorithm", "seeds", "updates", "training", "CPU time", "updates/s", "memory",
    "parameters", "device",
)  # fmt: skip
CAPTION = (
    "Training time is that of all seeds, which are trained side by side, without evaluation; CPU "
    "time is training time times the mean number of busy cores of the process. Memory: the most "
    "that the process, or the device, ever held. Parameters: of one seed, as far as they are "
    "trained in the last phase. n/a: not recorded."
)


class Cost(NamedTuple):
    """Of one line of a table; None where it was not recorded. Times in hours, memory in bytes."""

    run: Run
    updates: int
    hours: float
    cpu_hours: float | None
    memory: int | None
    parameters: int | None


def cost_of(run: Run) -> Cost:
    """What a run cost so far, over all of its folders.

    Raises:
        RunError: if its metrics table is missing or damaged.
    """
    table = run.metrics()
    seconds, cpu = 0.0, []
    for origin in run.origins:
        own = float(table.values["seconds"][table.seed == origin.seeds[0]].sum())
        seconds += own
        cpu += [] if origin.cores is None else [own * origin.cores]
    return Cost(
        run,
        int(table.step.max(initial=0)),
        seconds / 3600,
        sum(cpu) / 3600 if len(cpu) == len(run.origins) else None,
        max((m for m in map(_memory, run.origins) if m is not None), default=None),
        run.origins[0].parameters if run.origins else None,
    )


def _memory(origin: Origin) -> int | None:
    return origin.peak_memory if origin.peak_device_memory is None else origin.peak_device_memory


def cost_cells(cost: Cost) -> list[str]:
    """The texts of one line, in the order of `COLUMNS`."""
    run = cost.run
    speed = cost.updates * len(run.origins) / (3600 * cost.hours) if cost.hours else 0.0
    return [
        run.environment,
        run.label,
        str(len(run.seeds)),
        format_count(cost.updates),
        told_hours(cost.hours),
        told_hours(cost.cpu_hours),
        f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}",
        told_bytes(cost.memory),
        "n/a" if cost.parameters is None else f"{cost.parameters:,}",
        run.versions.get("device_kind") or run.devices or "n/a",
    ]


def told_hours(hours: float | None) -> str:
    """`2.5 h`, `12 min`, `40 s`."""
    if hours is None:
        return "n/a"
    unit, scale = time_unit(hours)
    short = {"seconds": "s", "minutes": "min", "hours": "h"}[unit]
    return f"{hours * scale:.3g} {short}"


def told_bytes(count: int | None) -> str:
    """`1.2 GB`, `350 MB`."""
    if count is None:
        return "n/a"
    return f"{count / 1e9:.2g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def costs(runs: Sequence[Run]) -> list[Cost]:
    """One line a run, by data set."""
    return [cost_of(run) for run in sorted(runs, key=lambda run: run.environment)]
