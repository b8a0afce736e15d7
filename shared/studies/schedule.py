"""Which job comes next, and what becomes of jobs that fail or whose worker dies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.studies.jobs import Job
from shared.studies.launchers.workers import AbstractWorkers, Ended

RETRIES = 3
"""Times that a job is carried on whose worker died under it."""
Tell = Callable[[str], None]


class Schedule:
    """Jobs of a study on their way.

    Arguments:
        jobs: those that are not finished yet; each folder once.
        workers: where they are worked on.
        tell: called with a sentence for everything that happens.
        seconds: what each is expected to take, by its folder.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        workers: AbstractWorkers,
        tell: Tell,
        seconds: Mapping[Path, float] | None = None,
    ):
        self._workers, self._tell, self._total = workers, tell, len(jobs)
        self._waiting = {job.folder: job for job in jobs}
        self._open = list(range(workers.count))
        self._alone: dict[Path, Job] = {}
        self._short: set[Path] = set()
        self._at: dict[int, Job] = {}
        self._served: dict[int, tuple] = {}
        self._deaths: dict[Path, int] = {}
        self._failed: dict[Path, str] = {}
        self._ended = 0
        known = seconds or {}
        own = {job.folder: known.get(job.folder, 0.0) for job in jobs}
        then = {job.folder: [x.folder for x in jobs if x.after == job.folder] for job in jobs}
        self._weight = {x: own[x] + max((own[y] for y in then[x]), default=0.0) for x in own}

    def run(self) -> dict[Path, str]:
        """Carry out all jobs that can be; folder -> what failed."""
        while self._waiting or self._at or self._alone:
            self._leave_out()
            self._fill()
            if not self._at and self._alone:  # the next of them has all memory for itself
                _, job = self._alone.popitem()
                for slot in self._open:
                    self._workers.retire(slot)
                self._begin(self._open[0], job)
            if self._at:
                for ended in self._workers.wait():
                    self._note(ended)
        return self._failed

    def _leave_out(self) -> None:
        """Jobs whose model cannot be had."""
        for job in [job for job in self._waiting.values() if job.after in self._failed]:
            del self._waiting[job.folder]
            self._fail(job, "left out, because the run whose model it takes over failed")

    def _fill(self) -> None:
        for slot in self._open:
            job = None if slot in self._at else self._next(slot)
            if job is not None:
                del self._waiting[job.folder]
                self._begin(slot, job)

    def _begin(self, slot: int, job: Job) -> None:
        self._at[slot], self._served[slot] = job, job.shape
        self._tell(f"start    {job.name}")
        self._workers.submit(slot, job)

    def _next(self, slot: int) -> Job | None:
        """The job for a slot: one of its shape, else of a shape that no other slot serves."""
        missing = {*self._waiting, *self._alone, *(job.folder for job in self._at.values())}
        ready = [job for job in self._waiting.values() if job.after not in missing]
        others = {shape for other, shape in self._served.items() if other != slot}

        def rank(job: Job) -> tuple[bool, bool, float]:
            mine = job.shape == self._served.get(slot)
            return not mine, job.shape in others, -self._weight[job.folder]

        return min(ready, key=rank, default=None)

    def _note(self, ended: Ended) -> None:
        job = self._at.pop(ended.slot)
        if ended.outcome is not None:
            if ended.outcome.short and self._at and self._workers.retire(ended.slot):
                return self._make_room(job)
            if ended.outcome.error is not None:
                return self._fail(job, ended.outcome.error)
            self._ended += 1
            return self._tell(f"finished {job.name} ({self._ended} of {self._total})")
        deaths = self._deaths[job.folder] = self._deaths.get(job.folder, 0) + 1
        if deaths > RETRIES:
            return self._fail(job, f"{ended.how}, {deaths} times")
        self._waiting[job.folder] = job
        return self._tell(f"again    {job.name}: {ended.how}; it goes on from its checkpoint")

    def _make_room(self, job: Job) -> None:
        """The job comes again, once fewer share the memory; the second time in the end, alone."""
        if job.folder in self._short:
            self._alone[job.folder] = job
            return self._tell(f"later    {job.name}: too little memory again; alone, in the end")
        self._short.add(job.folder)
        for idle in set(self._open) - set(self._at):
            self._workers.retire(idle)
        self._open = list(self._at)
        self._waiting[job.folder] = job
        self._tell(
            f"again    {job.name}: there was too little memory for {len(self._at) + 1} runs at "
            f"a time; from now on there are at most {len(self._at)}"
        )

    def _fail(self, job: Job, sentence: str) -> None:
        self._failed[job.folder] = sentence
        self._ended += 1
        self._tell(f"FAILED   {job.name}: {sentence}")
