"""The runs of a study as its tables name them, and the page that tells of them."""

import csv
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from shared.comparison.claims import SAMPLED, Claim, refreshed
from shared.comparison.read import read_run
from shared.comparison.record import Run
from shared.comparison.results import write_results
from shared.errors import RunError
from shared.record.schema import MODES
from shared.studies import states
from shared.studies.jobs import Job
from shared.studies.study import Study

NOT_RUN = "Not run: "
"""Begins the paragraph that names what a study left out."""


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


def require_scores(runs: Sequence[Run]) -> None:
    """A report is on scores.

    Raises:
        RunError: no run has one.
    """
    if not any(run.final_episodes(mode) for run in runs for mode in MODES):
        raise RunError(
            "none of the runs has an evaluation yet; train until the first one is done, or, where "
            "no simulator scores the task, rank the runs by 'cnf choose RUN...'."
        )


def finished(job: Job) -> list[Path]:
    """The run folders of a job, once all of it is finished; none before."""
    return job.members if states.state_of(job).status == states.FINISHED else []


def write_page(study: Study, jobs: Sequence[Job], folder: Path) -> Path:
    """The study's page `NAME.md`, with its curves and its table of episodes beside it.

    Raises:
        RunError: no run has been scored, or a claim names a label that is none of the study's, or,
            where all rows were run, that no run has.
    """
    runs = runs_of(jobs)
    scored = {
        (x.label, x.environment) for x in runs if any(x.final_episodes(mode) for mode in MODES)
    }
    lost = missing(jobs, scored)
    return write_results(
        runs,
        folder / f"{study.name}.md",
        title=study.title,
        commands=commands(study, jobs),
        notes=(*notes(study), *lost),
        claims=claims_of(study, scored) if lost else study.report.claims,
    )


def claims_of(study: Study, scored: Iterable[tuple[str, str]]) -> tuple[Claim, ...]:
    """The claims of a study that was run in part, without those about rows that were not.

    Arguments:
        study: that makes them.
        scored: label and environment of every row and data set that were.
    """
    places: dict[str, set[str]] = {}
    for label, environment in scored:
        places.setdefault(label, set()).add(environment)
    everywhere = set().union(*places.values())
    rows = {name for row in study.rows for name in row.names}

    def where(label: str) -> set[str]:
        """A label that is no row's (the data, another page's, or a mistake, which is told)."""
        label = label.removesuffix(SAMPLED)
        return places.get(label, set()) if label in rows | places.keys() else everywhere

    return tuple(pair for pair in study.report.claims if where(pair[0]) & where(pair[1]))


def missing(jobs: Sequence[Job], scored: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A paragraph that names the rows without a score, by data set; none if all have one.

    Arguments:
        jobs: of the study.
        scored: label and environment of every line that has one.
    """
    known, lost = set(scored), dict[str, list[str]]()
    for job in jobs:
        if any((name, job.data.label) not in known for name in job.row.names):
            failed = states.state_of(job).status == states.FAILED
            told = f"{job.row.label} (failed)" if failed else job.row.label
            lost.setdefault(job.data.label, []).append(told)
    if not lost:
        return ()
    rows = len({job.row.label for job in jobs})
    told = (
        f"{label}: {'all rows' if len(found) == rows else '; '.join(found)}"
        for label, found in lost.items()
    )
    return (f"{NOT_RUN}{' — '.join(told)}.",)


def refresh_page(study: Study, page: Path) -> None:
    """Write notes and readings of a page again, from its own table of episodes."""
    page.write_text(page_again(study, page), encoding="utf-8")


def page_again(study: Study, page: Path) -> str:
    """The text of a page with the notes and claims of its study; what was not run stays said."""
    lines = page.read_text(encoding="utf-8").splitlines()
    lost = [line for line in lines if line.startswith(NOT_RUN)][:1]
    if not lost:
        return refreshed(page, notes(study), study.report.claims)
    with page.with_name(f"{page.stem}-episodes.csv").open(encoding="utf-8", newline="") as file:
        scored = {(row["label"], row["environment"]) for row in csv.DictReader(file)}
    return refreshed(page, [*notes(study), *lost], claims_of(study, scored))


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
    needed = None if job.after is None else job.after.relative_to(job.after.parents[2])
    data = replace(job.request.data, path=job.data.file and Path(job.data.file.name))
    taken = {"model" if job.row.features_from is None else "features": needed}
    request = replace(job.request, out=None, data=data, **taken)
    return shlex.join([job.row.family, *request.words()])
