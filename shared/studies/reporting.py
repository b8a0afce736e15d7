"""The runs of a study as its tables name them, and the page that tells of them."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from shared.comparison.claims import refreshed
from shared.comparison.read import read_run
from shared.comparison.record import Run
from shared.comparison.results import write_results
from shared.errors import RunError
from shared.studies.jobs import Job
from shared.studies.study import Study


def runs_of(jobs: Sequence[Job]) -> list[Run]:
    """Every run that was begun, under the labels of its row and data.

    Raises:
        RunError: none was, or a run folder is damaged.
    """
    found = []
    for job in jobs:
        for folder in job.members:
            if (folder / "run.json").exists():
                label = f"{job.row.label}, {folder.name}" if job.row.sweep else job.row.label
                found.append(replace(read_run(folder), label=label, environment=job.data.label))
    if not found:
        raise RunError("the study has no runs yet; run it first.")
    return found


def write_page(study: Study, jobs: Sequence[Job], folder: Path) -> Path:
    """The study's page `NAME.md`, with its curves and its table of episodes beside it.

    Raises:
        RunError: no run has been scored, or a claim names a label that no run has.
    """
    return write_results(
        runs_of(jobs),
        folder / f"{study.name}.md",
        title=study.title,
        commands=commands(study, jobs),
        notes=notes(study),
        claims=study.report.claims,
    )


def refresh_page(study: Study, page: Path) -> None:
    """Write notes and readings of a page again, from its own table of episodes."""
    page.write_text(refreshed(page, notes(study), study.report.claims), encoding="utf-8")


def notes(study: Study) -> tuple[str, ...]:
    """The paragraphs below the title: the question first."""
    return tuple(filter(None, (study.question, *study.report.notes)))


def commands(study: Study, jobs: Sequence[Job]) -> list[str]:
    """The command that makes the study again, and what each of its runs amounts to."""
    files = {job.data.label: job.data.file for job in jobs if job.data.file is not None}
    given = [word for x, y in files.items() for word in ("--data", f"{x}={y.name}")]
    return [shlex.join(["cnf", "study", "run", study.name, *given]), *map(_command, jobs)]


def _command(job: Job) -> str:
    """Without places of this machine: a model is named by its folder in that of the study."""
    model = None if job.after is None else job.after.relative_to(job.after.parents[2])
    data = replace(job.request.data, path=job.data.file and Path(job.data.file.name))
    request = replace(job.request, out=None, model=model, data=data)
    return shlex.join([job.row.family, *request.words()])
