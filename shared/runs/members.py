"""Sweeps: runs that differ in hyperparameters, in one folder with a run folder a member.

Floats that only enter losses are trained side by side by one program, on a frozen model or with a
model a member.  Everything else (sizes, choices, lists, what shapes the program or the model) makes
one run a value, one after another.  Either way the folder is resumed and compared as one.
"""

import dataclasses
import itertools
import typing
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from shared.datasets.dataset import Dataset
from shared.errors import ConfigError
from shared.record.run_folder import RunFolder, require_empty
from shared.record.status import recording
from shared.runs.carry_out import (
    LoadData,
    carry_on,
    carry_out,
    check_plan,
    load_again,
    model_again,
    new_run,
    place,
    tell_remarks,
)
from shared.runs.frozen_model import FrozenModel
from shared.runs.plan import Plan
from shared.training import loop, program, sweep_folder
from shared.training.progress import Progress
from shared.training.settings import RunSettings
from shared.training.sweep import Sweep, SweptState, name_of
from shared.types import Spec

Values = dict[str, Any]


def combinations(sweep: Mapping[str, Sequence[Any]]) -> list[Values]:
    """Every combination of the values, the last name fastest."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def is_sweep(path: Path) -> bool:
    """Is this the folder of a sweep?"""
    return (Path(path) / sweep_folder.FILE).exists()


def start(
    plans: Sequence[Plan],
    swept: Sequence[Values],
    data: Dataset,
    out: Path,
    *,
    model: FrozenModel | None = None,
    progress: Progress | None = None,
    label: str | None = None,
    loggers: Sequence[str] = (),
) -> list[Path]:
    """Train runs that differ in the `swept` values alone.

    Arguments:
        plans: one a member.
        swept: the values of each member; the same names in all.
        data: of all of them.
        out: gets one run folder a member.
        model: taken over by all of them, if any.
        progress: as of `start.train_plan`.
        label: the members' common name; default: the algorithm's.
        loggers: not in a sweep.

    Returns:
        The members' folders.

    Raises:
        ConfigError: settings that a sweep cannot have.
        RunError: `out` is not empty.
    """
    out, names, progress = Path(out), [name_of(values) for values in swept], progress or Progress()
    _check(plans, swept, loggers, model)
    for plan in plans:
        check_plan(plan, data, model)
    require_empty(out)
    tell_remarks(plans[0], data, progress)
    dataset = place(plans[0].settings, data, progress)
    reason = why_apart(plans, swept, data.spec, dataset)
    progress.tell(_how(reason, plans[0], model))
    runs = []
    with ExitStack() as stack:
        for plan, name in zip(plans, names, strict=True):
            algorithm = plan.build() if reason else _sweep(plans[0], swept)
            metrics = program.metric_names(algorithm, data.spec, dataset)
            title = f"{label or plan.algorithm}, {name}"
            entries = {"model": model, "label": title, "sweep": True}
            run = new_run(plan, data, out / name, metrics, **entries)
            runs.append(stack.enter_context(run))
        sweep_folder.write_members(out, dict(zip(names, swept, strict=True)), apart=bool(reason))
        if reason:
            for run, plan in zip(runs, plans, strict=True):
                prepare = loop.unchanged
                if model is not None:
                    prepare = partial(model.put_into, seeds=plan.seeds)
                carry_out(run, plan, dataset, data.spec, progress, prepare)
        else:
            put = None if model is None else model.put_into
            _carry_out(plans, swept, runs, dataset, data.spec, progress, put)
    return [run.path for run in runs]


def resume(path: Path, *, load: LoadData, progress: Progress | None = None) -> list[Path]:
    """Carry a stopped sweep on to the same bits; arguments and errors as `resume.resume`."""
    path, progress = Path(path), progress or Progress()
    members, apart = sweep_folder.read_members(path)
    if apart:
        for member in members:
            with RunFolder.open(member, write=True) as run:
                if run.record["status"] != "finished":
                    carry_on(run, load, progress)
        return list(members)
    with ExitStack() as stack:
        runs = [stack.enter_context(RunFolder.open(member, write=True)) for member in members]
        plans = [Plan.from_dict(run.config) for run in runs]
        data = load_again(path, runs[0].record, load)
        dataset = place(plans[0].settings, data, progress)

        def put(state, seeds):
            every = dataclasses.replace(plans[0], seeds=tuple(seeds))
            return model_again(runs[0].record, every, load)(state)

        _carry_out(plans, list(members.values()), runs, dataset, data.spec, progress, put)
    return list(members)


def why_apart(
    plans: Sequence[Plan],
    swept: Sequence[Values],
    spec: Spec,
    dataset: Any,
) -> str | None:
    """Why these members cannot share one program; None if they can."""
    algorithm = plans[0].build()
    hints = typing.get_type_hints(type(algorithm))
    for name, value in swept[0].items():
        if hints.get(name) not in (float, float | None) or isinstance(value, str):
            return f"'{name}' is no float of the algorithm"
        if any(values[name] is None for values in swept):
            return f"'{name}' is switched off by null"
    try:
        together = program.state_shapes(_sweep(plans[0], swept), spec, (0,)).member
        networks = jax.tree.flatten(together)
        program.metric_names(_sweep(plans[0], swept), spec, dataset)
    # A program that branches on a value, or keeps it where only constants may be.
    except (TypeError, jax.errors.UnexpectedTracerError, jax.errors.ConcretizationTypeError):
        return f"{', '.join(swept[0])} shapes the program"
    for plan, values in zip(plans, swept, strict=True):
        if jax.tree.flatten(program.state_shapes(plan.build(), spec, (0,))) != networks:
            return f"{name_of(values)} has other networks than the other values"
    return None


def _how(reason: str | None, plan: Plan, model: FrozenModel | None) -> str:
    """One sentence on how the members are trained."""
    if reason:
        return f"sweep: one run a value, one after another, because {reason}"
    if model is None and plan.build().reusable:
        return (
            "sweep: all values side by side in one program, each with a model of its own; with "
            "--model RUN they would share a trained one"
        )
    return "sweep: all values side by side in one program"


def _check(
    plans: Sequence[Plan],
    swept: Sequence[Values],
    loggers: Sequence[str],
    model: FrozenModel | None,
) -> None:
    settings: RunSettings = plans[0].settings
    if loggers:
        raise ConfigError("--sweep: leave out --logger, which follows a single run.")
    if settings.keep_checkpoints < 2:
        raise ConfigError(
            "--sweep needs keep_checkpoints of 2 or more: a kill may come between two members."
        )
    if settings.online_steps:
        raise ConfigError("--sweep: leave out --online-steps, which fine-tunes a single run.")
    part = plans[0].build().reusable
    frozen = set(swept[0]) & set(part.keys if model is not None and part is not None else ())
    if frozen:
        raise ConfigError(
            f"--sweep {min(frozen)}: the value belongs to the model that --model takes over; leave "
            "out one of the two."
        )
    of_run = set(swept[0]) & {field.name for field in dataclasses.fields(RunSettings)}
    if of_run:
        raise ConfigError(f"--sweep {min(of_run)}: is a setting of the run; sweep hyperparameters.")


def _sweep(plan: Plan, swept: Sequence[Values]) -> Sweep:
    return Sweep(algorithm=plan.build(), names=tuple(swept[0]))


def _carry_out(plans, swept, runs, dataset, spec, progress, put) -> None:
    """Train all members by one program; `put(state, seeds=...)` gives them their model."""
    values = np.array([[float(x) for x in v.values()] for v in swept], np.float32)
    seeds = plans[0].seeds
    run = sweep_folder.SweepFolder(runs[0].path.parent, runs, values, len(seeds))

    def prepare(state: SweptState) -> SweptState:
        member = state.member
        if put is not None:
            member = put(member, seeds=seeds * len(plans))
        return SweptState(run.values, member)

    with recording(runs), progress:
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
