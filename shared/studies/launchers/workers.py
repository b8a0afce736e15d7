"""Where jobs are worked on: what the schedule knows of processes, a Ray cluster or Slurm."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

from shared.studies.jobs import Job
from shared.studies.work import Outcome


class Ended(NamedTuple):
    """A job is no longer worked on.

    Attributes:
        slot: where it was.
        outcome: None if its process died under it.
        how: it died, in words.
    """

    slot: int
    outcome: Outcome | None
    how: str = ""


class AbstractWorkers(abc.ABC):
    """A number of slots, each of which works on one job at a time."""

    count: int

    @abc.abstractmethod
    def submit(self, slot: int, job: Job) -> None:
        """Give a free slot a job."""

    @abc.abstractmethod
    def wait(self) -> Sequence[Ended]:
        """Some jobs that ended; waits for the first one."""

    def retire(self, slot: int) -> bool:
        """Give back the memory that a free slot holds until its next job, if slots share it."""
        return False

    @abc.abstractmethod
    def close(self, *, interrupt: bool = False) -> None:
        """End all workers; `interrupt` lets them note first that they were interrupted."""
