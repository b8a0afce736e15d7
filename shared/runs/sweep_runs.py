"""Sweeps: agents that differ in a hyperparameter, trained by one program on one frozen model."""

import dataclasses
import typing
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
import numpy as np

from shared.runs import experiment
from shared.errors import ConfigError
from shared.runs.experiment import Plan
from shared.runs.reuse import FrozenModel, load_model_again, reusable_part
from shared.training.sweep import Sweep, SweptState, name_of
from shared.training import loop, program, sweep_folder
from shared.training.progress import Progress
from shared.record.run_folder import RunFolder, require_empty
from shared.training.settings import RunSettings


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
        ConfigError: a hyperparameter or a value that cannot share a program with the others.
        RunError: `out` is not empty.
    """
    out, names = Path(out), [name_of(values) for values in swept]
    _check_settings(plans[0].settings)
    require_empty(out)
    progress = progress or Progress()
    for remark in plans[0].build().remarks(data):
        progress.tell(remark)
    dataset = experiment.place(plans[0].settings, data, progress)
    metrics = _metric_names(plans, swept, data.spec, dataset)
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


def _check_settings(settings: RunSettings) -> None:
    if settings.keep_checkpoints < 2:
        raise ConfigError(
            "--sweep needs keep_checkpoints of 2 or more: a kill may come between two members."
        )
    if settings.online_steps:
        raise ConfigError("--sweep: leave out --online-steps, which fine-tunes a single run.")


def _metric_names(plans, swept, spec, dataset) -> list[str]:
    """Names of all metrics; a ConfigError if the members do not fit into one program."""
    algorithm = _sweep(plans[0], swept)
    try:
        networks = jax.tree.flatten(program.state_shapes(algorithm, spec, (0,)).member)
        metrics = program.metric_names(algorithm, spec, dataset)
    # A program that branches on a value, or keeps it where only constants may be.
    except (TypeError, jax.errors.UnexpectedTracerError) as error:
        raise _unfit(", ".join(swept[0]), "shapes the program") from error
    for plan, values in zip(plans, swept, strict=True):
        if jax.tree.flatten(program.state_shapes(plan.build(), spec, (0,))) != networks:
            raise _unfit(name_of(values), "has other networks than the other values")
    return metrics


def _sweep(plan: Plan, swept: Sequence[dict[str, float]]) -> Sweep:
    algorithm = plan.build()
    hints, part = typing.get_type_hints(type(algorithm)), reusable_part(plan)
    for field in dataclasses.fields(algorithm):
        if field.name not in swept[0]:
            continue
        if hints[field.name] not in (float, float | None):
            raise _unfit(field.name, "is no float")
        if field.name in part.keys:
            raise _unfit(field.name, "shapes the model")
    return Sweep(algorithm=algorithm, names=tuple(swept[0]))


def _unfit(what: str, reason: str) -> ConfigError:
    return ConfigError(
        f"--sweep {what}: {reason}, so that it cannot share one program with others; train one "
        "run a value with --set."
    )


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
