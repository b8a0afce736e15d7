"""Sweeps: agents that differ in a hyperparameter, trained by one program on one frozen model."""

import dataclasses
import typing
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from shared import experiment
from shared.errors import ConfigError
from shared.experiment import Plan
from shared.reuse import FrozenModel, load_model_again, reusable_part
from shared.sweep import Sweep, SweptState, name_of
from shared.training import loop, program, sweep_folder
from shared.training.progress import Progress
from shared.training.run_folder import RunFolder, require_empty


def start(
    plans: Sequence[Plan],
    swept: Sequence[dict[str, float]],
    data,
    out: Path,
    model: FrozenModel,
    *,
    progress: Progress | None = None,
    label: str | None = None,
) -> list[Path]:
    """Train agents that differ in the `swept` values alone, side by side on one frozen model.

    Arguments:
        plans: one a member.
        swept: the values of each member; the same names in all.
        data: as in `experiment.start`.
        out: gets one run folder a member.
        model: of all of them.
        progress: as in `experiment.start`.
        label: the members' common name; default: the algorithm's.

    Returns:
        The members' folders.

    Raises:
        ConfigError: a hyperparameter whose values cannot share a program.
        RunError: `out` is not empty.
    """
    out, names = Path(out), [name_of(values) for values in swept]
    if plans[0].settings.keep_checkpoints < 2:
        raise ConfigError(
            "--sweep needs keep_checkpoints of 2 or more: a kill may come between two members."
        )
    require_empty(out)
    algorithm = _sweep(plans[0], swept)
    progress = progress or Progress()
    dataset = experiment.place(plans[0].settings, data, progress)
    metrics = program.metric_names(algorithm, data.spec, dataset)
    runs = []
    with ExitStack() as stack:
        for plan, name in zip(plans, names, strict=True):
            record = experiment.make_record(plan, data, f"{label or plan.algorithm}, {name}")
            record |= {"model": model.record, "sweep": True}
            config = plan.to_dict()
            run = RunFolder.create(out / name, config=config, record=record, metric_names=metrics)
            runs.append(stack.enter_context(run))
        sweep_folder.write_members(out, dict(zip(names, swept, strict=True)))
        _carry_out(plans, swept, runs, dataset, data.spec, lambda: model, progress)
    return [run.path for run in runs]


def is_sweep(path: Path) -> bool:
    """Is this the folder of a sweep?"""
    return (Path(path) / sweep_folder.FILE).exists()


def resume(path: Path, *, load_data, progress: Progress | None = None) -> list[Path]:
    """Carry a killed sweep on to the same bits; arguments and errors as `experiment.resume`."""
    path = Path(path)
    members = sweep_folder.read_members(path)
    with ExitStack() as stack:
        runs = [stack.enter_context(RunFolder.open(member, write=True)) for member in members]
        plans = [Plan.from_dict(run.config) for run in runs]
        data = experiment.load_again(path, runs[0].record, load_data)
        progress = progress or Progress()
        dataset = experiment.place(plans[0].settings, data, progress)
        model = partial(load_model_again, runs[0].record, plans[0], load_data)
        _carry_out(plans, list(members.values()), runs, dataset, data.spec, model, progress)
    return list(members)


def _sweep(plan: Plan, swept: Sequence[dict[str, float]]) -> Sweep:
    algorithm = plan.build()
    hints, part = typing.get_type_hints(type(algorithm)), reusable_part(plan)
    for field in dataclasses.fields(algorithm):
        number = hints[field.name] in (float, float | None)
        shapes = field.metadata.get("shapes") or field.name in part.keys
        if field.name in swept[0] and (shapes or not number):
            reason = "shapes the program or the model" if number else "is no float"
            raise ConfigError(
                f"--sweep {field.name}: {reason}, so that its values cannot share one program; "
                "train one run a value with --set."
            )
    return Sweep(algorithm=algorithm, names=tuple(swept[0]))


def _carry_out(plans, swept, runs, dataset, spec, load, progress) -> None:
    values = np.array([list(v.values()) for v in swept], np.float32)
    seeds = plans[0].seeds
    run = sweep_folder.SweepFolder(runs[0].path.parent, runs, values, len(seeds))

    def prepare(state: SweptState) -> SweptState:
        return SweptState(run.values, load().put_into(state.member, seeds * len(plans)))

    with experiment.recording(runs), progress:
        loop.train(
            _sweep(plans[0], swept),
            dataset,
            spec,
            run,
            seeds=seeds * len(plans),
            settings=plans[0].settings,
            progress=progress,
            prepare=prepare,
        )
