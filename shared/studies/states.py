"""How the jobs of a study stand, read from their run folders and from nowhere else."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from shared.errors import RunError
from shared.record.run_folder import RunFolder
from shared.record.schema import SWEEP_FILE, status_of
from shared.studies.jobs import Job

NEW, FINISHED, FAILED, RUNNING = "new", "finished", "failed", "running"
ERROR = "error.txt"
"""In the folder of a job that failed before its run began: why."""


class State(NamedTuple):
    """How a job stands.

    Attributes:
        status: `new`, or one of `shared.record.schema.STATUSES`; of a sweep the least.
        done: share of the updates whose metrics are on the disk.
        error: what failed.
    """

    status: str
    done: float = 0.0
    error: str | None = None


ORDER = (FAILED, RUNNING, "stopped", "interrupted", "waiting", NEW, FINISHED)
"""Of several members' statuses the first one is that of their sweep."""


def state_of(job: Job) -> State:
    """How a job stands."""
    if not is_begun(job):
        file = job.folder / ERROR
        return State(FAILED, error=file.read_text("utf-8").strip()) if file.exists() else State(NEW)
    states = [_state_of_run(member) for member in job.members]
    first = min(states, key=lambda state: ORDER.index(state.status))
    return first._replace(done=sum(state.done for state in states) / len(states))


def is_begun(job: Job) -> bool:
    """Whether its run, or its sweep, has a record of its own."""
    return (job.folder / (SWEEP_FILE if job.row.sweep else "run.json")).exists()


def has_weights(job: Job) -> bool:
    """Whether its run's checkpoints are there; they do not come with `study unpack`."""
    return RunFolder.open(job.folder, write=False).checkpoints.latest is not None


def note_failure(job: Job, sentence: str) -> None:
    """Keep why a job failed whose run could not say so itself; the next attempt forgets it."""
    if not is_begun(job):
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / ERROR).write_text(f"{sentence}\n", "utf-8")


def _state_of_run(folder: Path) -> State:
    if not (folder / "run.json").exists():
        return State(NEW)
    record = RunFolder.open(folder, write=False).record
    status = status_of(folder, record)
    total = sum(phase["steps"] for phase in record["phases"])
    done = 1.0 if status == FINISHED else _updates(folder / "metrics.jsonl") / max(total, 1)
    return State(status, done, record.get("error") if status == FAILED else None)


def _updates(file: Path) -> int:
    """The update that the last whole line of metrics tells of."""
    if not file.exists():
        return 0
    with open(file, "rb") as opened:
        opened.seek(max(file.stat().st_size - 65536, 0))
        lines = opened.read().split(b"\n")
    for line in reversed(lines[:-1]):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError):
            continue
    return 0


def clear(folder: Path) -> None:
    """Remove what a kill left of a job's folder that was not complete yet.

    Raises:
        RunError: it holds what no run has written.
    """
    if not folder.exists():
        return
    files = [x for x in folder.rglob("*") if x.is_file() and x.name[0] != "."]
    strange = [x for x in files if not _is_of_run(x.relative_to(folder))]
    if strange:
        raise RunError(f"{strange[0]}: is no file of a run; move it out of the study's folder.")
    shutil.rmtree(folder)


def _is_of_run(path: Path) -> bool:
    tables = (ERROR, "config.yaml", "run.json", "metrics.csv", "metrics.jsonl", "scores.csv")
    return path.name in tables or "checkpoints" in path.parts
