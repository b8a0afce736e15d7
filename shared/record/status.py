"""The status of runs while they are carried out; `schema.status_of` reads it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.errors import Interrupted, MemoryShortage, shortage
from shared.record.run_folder import RunFolder
from shared.record.usage import Meter


@contextmanager
def recording(runs: Sequence[RunFolder]) -> Iterator[None]:
    """Status and usage of runs in their `run.json` while they are carried out.

    Raises:
        MemoryShortage: memory was too small.
    """
    meters = [Meter(run.record.get("usage") or {}) for run in runs]

    def tell(status: str, **why: str) -> None:
        for run, meter in zip(runs, meters, strict=True):
            run.update_record(status=status, usage=meter.read(), **why)

    tell("running")
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        tell("interrupted")
        raise
    except Exception as error:
        sentence = shortage(error)
        tell("failed", error=sentence or str(error) or type(error).__name__)
        if sentence is not None:
            raise MemoryShortage(f"{runs[0].path}: {sentence}") from error
        raise
    tell("finished")
