"""Sweeps: runs that differ in hyperparameters, in one folder with a run folder a member.

Floats that only enter losses are trained side by side by one program, on a frozen model or with a
model a member.  Everything else (sizes, choices, lists, what shapes the program or the model) makes
one run a value, one after another.  Either way the folder is resumed and compared as one.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.datasets.dataset import Dataset
from shared.errors import ConfigError
from shared.models.learner import trained_parameters
from shared.record.run_folder import RunFolder, require_empty
from shared.record.schema import SWEEP_FILE
from shared.record.status import recording
from shared.runs import apart, estimates, longer, sweep_plan
from shared.runs.carry_out import (
    LoadData,
    carry_out,
    check_plan,
    load_again,
    model_again,
    new_run,
    place,
    tell_remarks,
    training_part,
)
from shared.runs.frozen_model import FrozenModel
from shared.runs.plan import Plan
from shared.training import loop, program, sweep_folder
from shared.training.progress import Progress
from shared.training.sweep import SweptState, name_of

Values = dict[str, Any]


def combinations(sweep: Mapping[str, Sequence[Any]]) -> list[Values]:
    """Every combination of the values, the last name fastest."""
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def names(sweep: Mapping[str, Sequence[Any]]) -> list[str]:
    """The members' folders in that of their sweep."""
    return [name_of(values) for values in combinations(sweep)]


def is_sweep(path: Path) -> bool:
    """Is this the folder of a sweep?"""
    return (Path(path) / SWEEP_FILE).exists()


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
    sweep_plan.check(plans, swept, loggers, model)
    for plan in plans:
        check_plan(plan, data, model)
    require_empty(out)
    tell_remarks(plans[0], data, progress)
    seen = training_part(plans[0].settings, data)
    dataset = place(plans[0].settings, seen, progress)
    reason = sweep_plan.why_apart(plans, swept, seen.spec, dataset)
    progress.tell(sweep_plan.how(reason, plans[0], model))
    progress.expect(partial(estimates.forecast, plans, data.spec))
    runs = []
    with ExitStack() as stack:
        for plan, name in zip(plans, names, strict=True):
            algorithm = plan.build() if reason else sweep_plan.together(plans[0], swept)
            metrics = program.metric_names(algorithm, seen.spec, dataset)
            title = f"{label or plan.algorithm}, {name}"
            entries = {"model": model, "label": title, "sweep": True}
            run = new_run(plan, data, out / name, metrics, **entries)
            runs.append(stack.enter_context(run))
        sweep_folder.write_members(out, dict(zip(names, swept, strict=True)), apart=bool(reason))
        put = None if model is None else model.put_into
        if not reason:
            _carry_out(plans, swept, runs, dataset, seen.spec, progress, put)
            return [run.path for run in runs]

        def train(run: RunFolder, plan: Plan) -> None:
            prepare = loop.unchanged if put is None else partial(put, seeds=plan.seeds)
            carry_out(run, plan, dataset, seen.spec, progress, prepare)

        apart.one_after_another(
            {run.path: partial(train, run, p) for run, p in zip(runs, plans, strict=True)}, progress
        )
    return [run.path for run in runs]


def resume(
    path: Path,
    *,
    load: LoadData,
    steps: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Carry a stopped sweep on to the same bits; arguments and errors as `resume.resume`."""
    path, progress = Path(path), progress or Progress()
    members, are_apart = sweep_folder.read_members(path)
    if steps is not None and any("steps" in values for values in members.values()):
        raise ConfigError(f"--steps: {path} sweeps 'steps' itself; start a new sweep.")
    if are_apart:
        rest = {m: partial(apart.finish, m, load, steps, progress) for m in members}
        apart.one_after_another(rest, progress)
        return list(members)
    with ExitStack() as stack:
        runs = [stack.enter_context(RunFolder.open(member, write=True)) for member in members]
        if steps is not None:
            longer.check(runs[0], steps)
        data = load_again(path, runs[0].record, load)
        steps = steps or max(map(longer.planned, runs))
        silent = [progress, *(Progress() for _ in runs[1:])]  # one sentence for all of them
        plans = [longer.lengthen(run, steps, tell) for run, tell in zip(runs, silent, strict=True)]
        data = training_part(plans[0].settings, data)
        dataset = place(plans[0].settings, data, progress)

        def put(state, seeds):
            every = dataclasses.replace(plans[0], seeds=tuple(seeds))
            return model_again(runs[0].record, every, load)(state)

        _carry_out(plans, list(members.values()), runs, dataset, data.spec, progress, put)
    return list(members)


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
        state = loop.train(
            sweep_plan.together(plans[0], swept),
            dataset,
            spec,
            run,
            seeds=seeds * len(plans),
            settings=plans[0].settings,
            progress=progress,
            prepare=prepare,
        )
        for member in runs:
            member.update_record(parameters=trained_parameters(state) // len(seeds * len(runs)))
