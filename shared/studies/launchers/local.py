"""Workers that are processes of this machine, one core or GPU each."""

import contextlib
import glob
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import shared
from shared.studies.jobs import Job, to_plain
from shared.studies.launchers.workers import AbstractWorkers, Ended
from shared.studies.work import Outcome

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
GRACE = 20.0
"""Seconds that an interrupted worker has to say so in its run's record."""


class LocalWorkers(AbstractWorkers):
    """Processes that are started when their slot gets its first job, and again if they die.

    Arguments:
        count: how many; default: one a GPU, else one a core.
        logs: folder for what the processes print.
    """

    def __init__(self, count: int | None, logs: Path):
        self._gpus = gpus()
        self.count, self._logs = count or len(self._gpus) or cores(), logs
        self._processes: dict[int, subprocess.Popen] = {}
        self._ready = selectors.DefaultSelector()

    def submit(self, slot: int, job: Job) -> None:
        process = self._processes.get(slot) or self._start(slot)
        words = {"request": to_plain(job.request), "shape": repr(job.shape)}
        with contextlib.suppress(BrokenPipeError):  # it died: `wait` will tell
            _pipe(process.stdin).write(json.dumps(words) + "\n")
            _pipe(process.stdin).flush()

    def wait(self) -> list[Ended]:
        return [self._read(key.data) for key, _ in self._ready.select()]

    def retire(self, slot: int) -> bool:
        process = self._processes.pop(slot, None)
        if process is not None:  # it has had a job
            self._ready.unregister(_pipe(process.stdout))
            process.kill()
            process.wait()
            _close(process)
        return True

    def close(self, *, interrupt: bool = False) -> None:
        for process in self._processes.values():
            if interrupt:
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                if interrupt:
                    process.wait(GRACE)
            process.kill()
            process.wait()
            _close(process)
        self._processes.clear()
        self._ready.close()

    def _start(self, slot: int) -> subprocess.Popen:
        self._logs.mkdir(parents=True, exist_ok=True)
        with open(self._logs / f"worker-{slot}.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                # -P: a folder of the user's named `shared` must not be taken for ours.
                [sys.executable, "-P", "-m", "shared.studies.launchers.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment(slot),
                process_group=0,  # Ctrl-C reaches the study, which tells its workers once
            )
        self._processes[slot] = process
        self._ready.register(_pipe(process.stdout), selectors.EVENT_READ, slot)
        return process

    def _environment(self, slot: int) -> dict[str, str]:
        found = dict(os.environ) | one_thread()
        if self._gpus:
            found["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
            if self.count > len(self._gpus):
                found.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        return found

    def _read(self, slot: int) -> Ended:
        process = self._processes[slot]
        line = _pipe(process.stdout).readline()
        if line.endswith("\n"):
            return Ended(slot, Outcome(**json.loads(line)))
        self._ready.unregister(_pipe(process.stdout))
        del self._processes[slot]
        code = process.wait()
        _close(process)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Ended(slot, None, f"its process ended with {how} (see worker-{slot}.log)")


def one_thread() -> dict[str, str]:
    """Environment of a worker: our own packages, and one thread, whatever its neighbours do."""
    ours = str(Path(shared.__file__).parents[1])
    flags = os.environ.get("XLA_FLAGS", "")
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH")))),
        "XLA_FLAGS": flags if ONE_THREAD in flags else f"{flags} {ONE_THREAD}".strip(),
        "OMP_NUM_THREADS": "1",
    }


def cores() -> int:
    """Logical cores that this process may use."""
    with contextlib.suppress(AttributeError):  # there is no such call on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus() -> list[str]:
    """Names of NVIDIA GPUs that JAX may use, by the files of their driver."""
    if os.environ.get("JAX_PLATFORMS", "").startswith("cpu"):
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name not in ("", "-1")]
    return [str(number) for number in range(len(glob.glob("/dev/nvidia[0-9]*")))]


def _close(process: subprocess.Popen) -> None:
    """The pipes of a process that has ended."""
    _pipe(process.stdout).close()
    with contextlib.suppress(BrokenPipeError):
        _pipe(process.stdin).close()


def _pipe(pipe: Any) -> Any:
    """One that was asked for, so that it is there."""
    assert pipe is not None
    return pipe
