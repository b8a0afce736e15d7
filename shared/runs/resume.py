"""Carries a stopped run on: to the same bits as without the stop, or further than was planned."""

from dataclasses import replace
from pathlib import Path

from shared.errors import ConfigError, RunError
from shared.loading.request import DataRequest
from shared.record.run_folder import RunFolder
from shared.runs import members
from shared.runs.carry_out import LoadData, carry_on
from shared.runs.plan import Plan
from shared.runs.run_record import command, phases_of
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
    path, progress = Path(path), progress or Progress()
    place_of = None if data is None else Path(data)
    root = None if data_dir is None else Path(data_dir)
    load = load or (lambda record: DataRequest.of_record(record, place_of, root).load())
    if members.is_sweep(path):
        if steps is not None or loggers:
            raise ConfigError(f"{path}: is a sweep; leave out --steps and --logger.")
        return members.resume(path, load=load, progress=progress)
    with RunFolder.open(path, write=True) as run:
        if run.record.get("sweep"):
            raise RunError(
                f"{path}: belongs to a sweep; carry that on with --resume {path.parent}."
            )
        if steps is not None:
            extend(run, steps, progress)
        if loggers:
            run.update_record(loggers=list(loggers))
        carry_on(run, load, progress)
    return [path]


def extend(run: RunFolder, steps: int, progress: Progress) -> None:
    """Give a run more updates of its policy than were planned, and note that in its record.

    Raises:
        ConfigError: fewer than it has, or none that could follow what it has done.
    """
    plan = Plan.from_dict(run.config)
    planned = plan.hyperparameters.get("steps", 0)
    if plan.settings.online_steps:
        raise ConfigError(
            f"--steps: {run.path} fine-tunes in the simulator, which nothing can follow; start "
            "a new run."
        )
    if steps <= planned:
        raise ConfigError(
            f"--steps is {steps:,}, but {run.path} was planned for {planned:,}; give a larger "
            "number, or leave the option out."
        )
    longer = replace(plan, hyperparameters=plan.hyperparameters | {"steps": steps})
    scheduled = longer.build().schedules()
    if scheduled:
        progress.tell(
            f"{' and '.join(scheduled)} ended at update {planned:,}; the schedule is now that of "
            f"{steps:,} updates, so the run is not the same as one of {steps:,} from the start"
        )
    run.update_config(longer.to_dict())
    before = run.record.get("extensions", [])
    more = {"from": planned, "to": steps, "command": command()}
    run.update_record(phases=phases_of(longer), extensions=[*before, more])
