"""The status of runs while they are carried out; `schema.status_of` reads it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.errors import Interrupted
from shared.record.run_folder import RunFolder


@contextmanager
def recording(runs: Sequence[RunFolder]) -> Iterator[None]:
    """The status of runs in their `run.json` while they are carried out."""
    started = time.time()

    def tell(status: str, **why: str) -> None:
        for run in runs:
            seconds = round(time.time() - started, 1)
            run.update_record(status=status, seconds_of_last_part=seconds, **why)

    tell("running")
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        tell("interrupted")
        raise
    except Exception as error:
        tell("failed", error=str(error) or type(error).__name__)
        raise
    tell("finished")
