"""A study's plan and its status, as tables of the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from shared.cli.suite import size
from shared.comparison.console import make_console
from shared.runs.estimates import duration
from shared.studies import states
from shared.studies.costs import Cost
from shared.studies.jobs import Job
from shared.studies.study import Study

NOTE = (
    "Time and memory are estimates: matrix products at the rate measured just now, doubled, "
    "without recording, compiling and scoring; data and state without intermediates."
)
UNKNOWN = "unknown"
"""What nobody can say of data before they are read."""


def print_plan(study: Study, jobs: Sequence[Job], costs: Mapping[Path, Cost], workers: int) -> None:
    """A line a row: its data sets, runs that are left, updates, time, memory and disk."""
    left = {job.folder: states.state_of(job).status for job in jobs}
    todo = {folder for folder, status in left.items() if status != states.FINISHED}
    table = _table(
        f"plan of {study.name}: {study.title}",
        ("row", "seeds", "preset", "left", "updates", "time", "memory"),
        NOTE,
    )
    for row in study.rows:
        own = [job for job in jobs if job.row is row]
        if not own:
            continue
        rest = [job.folder for job in own if job.folder in todo]
        known = [costs[folder] for folder in rest if folder in costs]
        steps = sorted({_updates(job) for job in own})
        told = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
        memory = max((sum(cost.memory) for cost in known), default=0)
        cells = (f"{len(rest)} of {len(own)}", told, _time(known, len(rest)))
        about = (row.label, str(len(row.seeds)), row.preset)
        table.add_row(*about, *cells, size(memory) if known or not rest else UNKNOWN)
    known = [costs[folder] for folder in todo if folder in costs]
    seconds, disk = _seconds(known), sum(cost.disk for cost in known)
    console = make_console()
    console.print(table)
    several = f"; with {workers} workers at least {duration(seconds / workers)}"
    told = (
        f"{duration(seconds)} of one core or device{several if workers > 1 else ''}, "
        f"{size(disk)} of disk"
    )
    lost = len(todo) - len(known)
    if lost:
        more = f"{lost} whose data say only when they are read how large they are"
        told = f"{told} and {more}" if known else more
    console.print(f"{len(todo)} of {len(left)} runs are left: {told}.")


def _time(known: Sequence[Cost], count: int) -> str:
    """That `count` jobs will take, of which the costs of some are known."""
    if count and not known:
        return UNKNOWN
    return f"{'over ' if len(known) < count else ''}{duration(_seconds(known))}"


def _seconds(known: Sequence[Cost]) -> float:
    return sum((cost.seconds for cost in known), 0.0)


def print_status(study: Study, jobs: Sequence[Job], out: Path) -> None:
    """A line a run: how it stands, what failed, and its folder."""
    table = _table(f"{study.name}: {study.title}", ("data", "row", "status", "done", "run"))
    counts: dict[str, int] = {}
    for job in jobs:
        status, done, error = states.state_of(job)
        counts[status] = counts.get(status, 0) + 1
        told = status if error is None else f"{status}: {error}"
        folder = str(job.folder.relative_to(out.resolve()))
        table.add_row(job.data.label, job.row.label, told, f"{100 * done:.0f} %", folder)
    console = make_console()
    console.print(table)
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))


def _updates(job: Job) -> int:
    return sum(phase.steps for phase in job.plan.build().phases())


def _table(title: str, columns: tuple[str, ...], caption: str | None = None) -> Table:
    style = {"title_justify": "left", "caption_justify": "left"}
    table = Table(title=title, caption=caption, **style)
    for column in columns:
        right = column in ("seeds", "left", "updates", "time", "memory", "done")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table
