"""Runs that begin with the trained and frozen model of another run, alone or as a sweep."""

import dataclasses
import hashlib
import typing
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from shared import experiment
from shared.algorithm import Reusable
from shared.errors import ConfigError, DataError, RunError
from shared.experiment import Plan
from shared.sweep import Sweep, SweptState, name_of
from shared.trained import load_state
from shared.training import loop, program, sweep_folder
from shared.training.leaves import arrays_of
from shared.training.progress import Progress
from shared.training.run_folder import RunFolder, require_empty


@dataclasses.dataclass(frozen=True)
class FrozenModel:
    """The reusable part of a trained run.

    Attributes:
        fields: name of a field of the state -> its value; leading axis = `seeds`.
        seeds: of the run that trained it.
        record: what `run.json` says of it: run, checkpoint and SHA-256 of the arrays.
    """

    fields: dict[str, Any]
    seeds: tuple[int, ...]
    record: dict[str, str]

    def put_into(self, state, seeds: Sequence[int]):
        """`state` (leading axis = `seeds`) with this model.

        One model serves all seeds; of several, every seed takes its own.

        Raises:
            RunError: there are several, but none of some seed.
        """
        missing = sorted(set(seeds) - set(self.seeds))
        if len(self.seeds) > 1 and missing:
            raise RunError(
                f"{self.record['run']}: has models of the seeds {list(self.seeds)}, not of "
                f"{missing}; choose --seeds among them."
            )
        several = len(self.seeds) > 1
        rows = jnp.asarray([self.seeds.index(seed) if several else 0 for seed in seeds])
        return state._replace(**jax.tree.map(lambda x: x[rows], self.fields))


def model_overrides(run: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    """`overrides` of a plan, with everything that describes the frozen model of `run`.

    Raises:
        ConfigError: the run has no reusable model, or an override contradicts it.
        RunError: `run` is no run folder.
    """
    source = Plan.from_dict(RunFolder.open(Path(run), write=False).config)
    part = _reusable(source)
    for key in (*part.keys, part.steps):
        if key in overrides:
            raise ConfigError(f"--set {key}: the model of {run} has its own; leave the key out.")
    taken = {key: source.hyperparameters[key] for key in part.keys}
    return {**overrides, **taken, part.steps: 0}


def load_model(run: Path, plan: Plan, data) -> FrozenModel:
    """The model of a run, for agents of `plan`.

    Raises:
        ConfigError: the two algorithms do not share a model.
        DataError: it was trained on other data.
        RunError: a damaged run, or a model that is not trained to the end.
    """
    source, record, algorithm, state, position = load_state(Path(run))
    part = _reusable(source)
    if part != _reusable(plan):
        raise ConfigError(f"{plan.algorithm} cannot take over the model of {source.algorithm}.")
    phases = [phase.name for phase in algorithm.phases()]
    index = phases.index(part.phase)
    done = position["phase_index"] > index or position["step"] >= algorithm.phases()[index].steps
    if not done:
        raise RunError(f"{run}: its model is not trained to the end; carry it on with --resume.")
    if record["data"]["sha256"] != data.sha256:
        raise DataError(
            f"{run}: its model was trained on other data than {data.path}; give that file with "
            "--data, or train a model on this one."
        )
    fields = {name: getattr(state, name) for name in part.fields}
    latest = RunFolder.open(Path(run), write=False).checkpoints.latest
    described = {"run": str(Path(run).resolve()), "checkpoint": latest, "sha256": _hash(fields)}
    return FrozenModel(fields, source.seeds, described)


def _reusable(plan: Plan) -> Reusable:
    part = type(plan.build()).reusable
    if part is None:
        raise ConfigError(f"{plan.algorithm} has no model that another run could take over.")
    return part


def _hash(fields: dict[str, Any]) -> str:
    """SHA-256 of all arrays with their names and shapes."""
    total = hashlib.sha256()
    for name, array in sorted(arrays_of(fields).items()):
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def start(plan: Plan, data, out: Path, model: FrozenModel, **options) -> Path:
    """Train the agent of a plan on a frozen model; `options` as `experiment.start`."""
    return experiment.start(
        plan,
        data,
        out,
        prepare=lambda state: model.put_into(state, plan.seeds),
        more_record={"model": model.record},
        **options,
    )


def start_sweep(
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
    dataset = data.to_device(validation_fraction=plans[0].settings.validation_fraction)
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


def resume(path: Path, *, load_data, progress: Progress | None = None, loggers=()) -> list[Path]:
    """Carry any run on, a sweep too; arguments and errors as `experiment.resume`.

    Raises:
        RunError: besides, a member of a sweep, which only goes on with all the others.
    """
    path = Path(path)
    if (path / sweep_folder.FILE).exists():
        return _resume_sweep(path, load_data, progress)
    run = RunFolder.open(path, write=False)
    if run.record.get("sweep"):
        raise RunError(f"{path}: belongs to a sweep; carry that on with --resume {path.parent}.")
    options = {"load_data": load_data, "progress": progress, "loggers": loggers}
    if "model" in run.record:
        plan = Plan.from_dict(run.config)
        options["prepare"] = lambda state: _load_again(run.record, plan, load_data).put_into(
            state, plan.seeds
        )
    return [experiment.resume(path, **options)]


def _resume_sweep(path: Path, load_data, progress) -> list[Path]:
    members = sweep_folder.read_members(path)
    with ExitStack() as stack:
        runs = [stack.enter_context(RunFolder.open(member, write=True)) for member in members]
        plans = [Plan.from_dict(run.config) for run in runs]
        data = experiment.load_again(path, runs[0].record, load_data)
        dataset = data.to_device(validation_fraction=plans[0].settings.validation_fraction)
        model = partial(_load_again, runs[0].record, plans[0], load_data)
        _carry_out(plans, list(members.values()), runs, dataset, data.spec, model, progress)
    return list(members)


def _load_again(record: dict[str, Any], plan: Plan, load_data) -> FrozenModel:
    """The model that a run without a checkpoint of its own began with."""
    model = load_model(Path(record["model"]["run"]), plan, load_data(record))
    if model.record["sha256"] != record["model"]["sha256"]:
        raise RunError(
            f"{record['model']['run']}: its model is not the one that this run began with; "
            "start the run anew."
        )
    return model


def _sweep(plan: Plan, swept: Sequence[dict[str, float]]) -> Sweep:
    algorithm = plan.build()
    hints, part = typing.get_type_hints(type(algorithm)), _reusable(plan)
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

    progress = progress or Progress()
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
