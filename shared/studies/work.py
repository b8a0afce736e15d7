"""One job of a study, in this process: started, or carried on where it was stopped."""

import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.errors import Interrupted, MemoryShortage, UserError, shortage
from shared.record.schema import SWEEP_FILE
from shared.runs.resume import resume
from shared.runs.start import start
from shared.storage.locks import is_held
from shared.studies.jobs import from_plain
from shared.studies.states import clear
from shared.training.progress import LineProgress, Progress

WAIT = 0.2
"""Seconds between two looks at a lock."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        error: one sentence, if it failed.
        short: it failed for want of memory.
    """

    error: str | None = None
    short: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def work(values: dict[str, Any], progress: Progress | None = None) -> Outcome:
    """Train what a request asks for, from where it stands.

    Arguments:
        values: of `jobs.to_plain`; the folder is empty, or holds the very run that is asked for.
        progress: told how it goes; lines on standard error by default.

    Raises:
        Interrupted: Ctrl-C.
    """
    request, progress = from_plain(values), progress or LineProgress(60.0)
    assert request.out is not None
    sys.argv = [request.family, *request.words()]  # what the run's record shows as its command
    try:
        wait_for_writer(request.out, progress)
        if any((request.out / name).exists() for name in ("run.json", SWEEP_FILE)):
            about = request.data
            resume(request.out, data=about.path, data_dir=about.data_dir, progress=progress)
        else:
            clear(request.out)
            start(request, progress=progress)
    except Interrupted:
        raise
    except UserError as error:
        return Outcome(str(error), isinstance(error, MemoryShortage))
    except Exception as error:
        sentence = shortage(error)
        if sentence is not None:  # before the run began
            return Outcome(f"{request.out}: {sentence}", short=True)
        traceback.print_exc()  # a fault of ours must not stop the other runs
        return Outcome(f"{type(error).__name__}: {error}")
    return Outcome()


def wait_for_writer(folder: Path, progress: Progress) -> None:
    """Return when nobody writes to a run folder, or to those in it.

    A worker whose study was killed is gone in a moment; one on another machine goes on.
    """
    told = False
    while any(is_held(lock) for lock in (folder / ".lock", *folder.glob("*/.lock"))):
        if not told:
            progress.tell(f"{folder} is being written by another process; waiting for it")
        told = True
        time.sleep(WAIT)
