"""Carries a stopped run on: to the same bits as without the stop, or further than was planned."""

from pathlib import Path

from shared.errors import ConfigError, RunError
from shared.loading.request import DataRequest
from shared.record.run_folder import RunFolder
from shared.runs import longer, members
from shared.runs.carry_out import LoadData, carry_on
from shared.training.kept_programs import keep_programs
from shared.training.progress import Progress


def resume(
    path: str | Path,
    *,
    data: str | Path | None = None,
    data_dir: str | Path | None = None,
    steps: int | None = None,
    load: LoadData | None = None,
    progress: Progress | None = None,
    loggers: tuple[str, ...] = (),
) -> list[Path]:
    """Carry a stopped run, or a sweep, on to the same bits as without the stop.

    Arguments:
        path: the run folder, or the folder of a sweep.
        data: where the run's own file is now, if not where it was.
        data_dir: root of the cache.
        steps: of the policy in all, more than were planned: the run goes on behind its end.
        load: finds the data in another way, from the run's record.
        progress: as in `train_plan`.
        loggers: as in `train_plan`; without any those that the run began with.

    Returns:
        The run folder; those of all members of a sweep.

    Raises:
        RunError: the data have another SHA-256, another writer holds the folder, or the run
            belongs to a sweep.
        ConfigError: steps that the run cannot be given.
    """
    keep_programs()
    path, progress = Path(path), progress or Progress()
    place_of = None if data is None else Path(data)
    root = None if data_dir is None else Path(data_dir)
    load = load or (lambda record: DataRequest.of_record(record, place_of, root).load())
    if members.is_sweep(path):
        if loggers:
            raise ConfigError(f"{path}: is a sweep; leave out --logger, which follows one run.")
        return members.resume(path, load=load, steps=steps, progress=progress)
    with RunFolder.open(path, write=True) as run:
        if run.resumed_as != run.path:
            raise RunError(
                f"{path}: belongs to a sweep; carry that on with --resume {run.resumed_as}."
            )
        if steps is not None:
            longer.check(run, steps)
        if loggers:
            run.update_record(loggers=list(loggers))
        carry_on(run, load, progress, steps)
    return [path]
