"""A study from plan to end: data once, then every run that is not finished yet."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.errors import Interrupted, UserError
from shared.loading.resolve import resolve
from shared.studies import states
from shared.studies.folder import running
from shared.studies.jobs import Job
from shared.studies.launchers.workers import AbstractWorkers
from shared.studies.schedule import Schedule, Tell
from shared.training.progress import Progress


def carry_out(
    jobs: Sequence[Job],
    out: Path,
    workers: AbstractWorkers,
    *,
    tell: Tell = print,
    progress: Progress | None = None,
    seconds: Mapping[Path, float] | None = None,
) -> dict[Path, str]:
    """Train what of a study is not finished yet.

    Arguments:
        jobs: of `jobs.make_jobs`.
        out: folder of the study.
        workers: closed in the end.
        tell: called with a sentence for everything that happens.
        progress: of fetching and recording the data.
        seconds: what each job is expected to take, by its folder.

    Returns:
        Folder -> what failed; empty if nothing did.

    Raises:
        RunError: another process is running the study.
        Interrupted: Ctrl-C.
    """
    interrupted = False
    with running(out):
        try:
            left = unfinished(jobs)
            failed = _bring_data(left, progress or Progress(), tell)
            left = [job for job in left if job.folder not in failed]
            failed |= Schedule(left, workers, tell, seconds).run()
            for job in jobs:
                if job.folder in failed:
                    states.note_failure(job, failed[job.folder])
        except (KeyboardInterrupt, Interrupted):
            interrupted = True
            raise Interrupted("interrupted; the study goes on by its own command") from None
        finally:
            workers.close(interrupt=interrupted)
    return failed


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Jobs that are left to do, each folder once, and models without weights that they need."""
    known = {job.folder: job for job in jobs}
    left = {x: job for x, job in known.items() if states.state_of(job).status != states.FINISHED}
    needed = {job.after for job in left.values()} - {None}
    return [
        job
        for folder, job in known.items()
        if folder in left or (folder in needed and not states.has_weights(job))
    ]


def _bring_data(jobs: Sequence[Job], progress: Progress, tell: Tell) -> dict[Path, str]:
    """Fetch or record the data of all jobs, once; folder -> what failed."""
    failed: dict[Path, str] = {}
    known: dict = {}
    for job in jobs:
        request = job.request.data_of(job.plan)
        if request not in known:
            known[request] = None
            try:
                with progress.loading(job.data.label) as update:
                    resolve(request, update, os.cpu_count() or 1)
            except UserError as error:
                known[request] = str(error)
                tell(f"FAILED   {job.data.label}: {error}")
        if known[request] is not None:
            failed[job.folder] = known[request]
    return failed
