"""Workers that are Slurm jobs, handed in by submitit (extra `slurm`)."""

import time
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.studies.jobs import Job, to_plain
from shared.studies.launchers.local import one_thread
from shared.studies.launchers.workers import AbstractWorkers, Ended
from shared.studies.work import Outcome

POLL = 0.2
"""Seconds between two looks at the jobs."""
COUNT = 8
"""Slurm jobs at a time unless told."""
MINUTES = 240
"""That a Slurm job may take unless told; what is not done then, another one carries on."""


class Work:
    """One job, as `shared.studies.work.work` does it; handed in again if Slurm ends it."""

    def __call__(self, values: dict[str, Any]) -> Outcome:
        from shared.studies.work import work

        return work(values)

    def checkpoint(self, values: dict[str, Any]) -> Any:
        """What submitit hands in when time is up, or another job goes first."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, values)


class SlurmWorkers(AbstractWorkers):
    """A Slurm job for every run; a preempted one is continued by another.

    Arguments:
        count: jobs at a time.
        folder: for submitit's own files, seen by all machines.
        resources: as submitit names them, e.g. `slurm_partition`, `timeout_min`, `gpus_per_node`;
            `cluster=local` takes processes of this machine in Slurm's place.

    Raises:
        ConfigError: submitit is not installed, there is no Slurm, or it knows no such resource.
    """

    def __init__(self, count: int | None, folder: Path, resources: dict[str, Any]):
        try:
            import submitit
            from submitit.core.utils import UncompletedJobError
        except ImportError:
            raise ConfigError(
                "--launcher slurm needs the package submitit; install 'latent-policies[slurm]'."
            ) from None
        resources = dict(resources)
        cluster = resources.pop("cluster", "slurm")
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
            exports = [f"export {name}='{value}'" for name, value in one_thread().items()]
            more: dict[str, Any] = {"slurm_setup": exports} if cluster == "slurm" else {}
            more |= {"name": "study", "timeout_min": MINUTES}
            self._executor.update_parameters(**more | resources)
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise ConfigError(f"--launcher slurm: {str(error).rstrip('.')}.") from None
        self.count, self._failed = count or COUNT, UncompletedJobError
        self._at: dict[int, Any] = {}

    def submit(self, slot: int, job: Job) -> None:
        self._at[slot] = self._executor.submit(Work(), to_plain(job.request))

    def wait(self) -> list[Ended]:
        while True:
            ended = [self._ended(slot) for slot, job in [*self._at.items()] if job.done()]
            if ended:
                return ended
            time.sleep(POLL)

    def close(self, *, interrupt: bool = False) -> None:
        for job in self._at.values():
            job.cancel(check=False)
        self._at.clear()

    def _ended(self, slot: int) -> Ended:
        job = self._at.pop(slot)
        try:
            outcome: Outcome = job.result()
            return Ended(slot, outcome)
        except self._failed as error:
            return Ended(slot, None, f"Slurm job {job.job_id} ended ({str(error).splitlines()[0]})")
