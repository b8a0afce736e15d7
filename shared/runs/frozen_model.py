"""Runs that begin with the trained and frozen model of another run."""

import dataclasses
import hashlib
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import Reusable
from shared.errors import ConfigError, DataError, RunError
from shared.record.leaves import arrays_of
from shared.record.run_folder import RunFolder
from shared.runs import registry
from shared.runs.plan import Plan
from shared.runs.trained import load_state


@dataclasses.dataclass(frozen=True)
class FrozenModel:
    """The reusable part of a trained run.

    Attributes:
        fields: name of a field of the state (`a.b` of a field's own) -> its value; leading axis =
            `seeds`.
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
        for name, value in self.fields.items():
            taken = jax.tree.map(lambda x: x[rows], value)
            state = eqx.tree_at(attrgetter(name), state, taken)
        return state


def model_overrides(
    run: Path, overrides: dict[str, Any], taker: type | None = None
) -> dict[str, Any]:
    """`overrides` of a plan, with everything that describes the frozen model of `run`.

    Arguments:
        run: folder of the run that trained the model.
        overrides: what the user sets.
        taker: class of the algorithm that is to take it over; None is one of the same kind.

    Raises:
        ConfigError: the run has no reusable model, the algorithm cannot take it over, or an
            override contradicts it.
        RunError: `run` is no run folder.
    """
    source = Plan.from_dict(RunFolder.open(Path(run), write=False).config)
    return overrides_of_model(source, str(run), overrides, taker)


def overrides_of_model(
    source: Plan, named: str, overrides: dict[str, Any], taker: type | None = None
) -> dict[str, Any]:
    """The same for the plan of the run, which is `named` so in errors."""
    part = reusable_part(source)
    if taker is not None and not {*part.keys, part.steps} <= {*taker.__dataclass_fields__}:
        raise ConfigError(
            f"{named} holds a model of '{source.algorithm}', which {taker.__name__} cannot take "
            "over; name a run of the same algorithm."
        )
    for key in (*part.keys, part.steps):
        if key in overrides:
            raise ConfigError(f"--set {key}: the model of {named} has its own; leave the key out.")
    seen = source.settings.observation
    if overrides.get("observation", seen) != seen:
        raise ConfigError(f"--observation: the model of {named} sees {seen}; leave the option out.")
    taken = {key: source.hyperparameters[key] for key in part.keys} | {"observation": seen}
    return {**overrides, **taken, part.steps: 0}


def load_model(run: Path, plan: Plan, data) -> FrozenModel:
    """The model of a run, for agents of `plan`, or for a plan on its states.

    Raises:
        ConfigError: the two algorithms do not share a model.
        DataError: it was trained on other data.
        RunError: a damaged run, or a model that is not trained to the end.
    """
    source, record, algorithm, state, position = load_state(Path(run))
    part = reusable_part(source)
    if plan.features is None and part != reusable_part(plan):
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
    fields = {name: attrgetter(name)(state) for name in part.fields}
    latest = RunFolder.open(Path(run), write=False).checkpoints.latest
    described = {"run": str(Path(run).resolve()), "checkpoint": latest, "sha256": _hash(fields)}
    fields = fields if plan.features is None else {"model": fields}
    return FrozenModel(fields, source.seeds, described)


def plan_of_features(run: Path) -> Plan:
    """The plan of a run on the states of whose model others may learn.

    Raises:
        ConfigError: it has no model of the world.
        RunError: `run` is no run folder.
    """
    source = Plan.from_dict(RunFolder.open(Path(run), write=False).config)
    require_perception(source, f"--features {run}")
    return source


def require_perception(source: Plan, where: str) -> None:
    """A ConfigError, which begins with `where`, if runs of this plan have no model of the world."""
    if not registry.find(source.family, source.algorithm).perceives:
        raise ConfigError(
            f"{where}: '{source.algorithm}' has no model of the world; name a run of clap, "
            "lompo or offline-dv2."
        )


def reusable_part(plan: Plan) -> Reusable:
    """What another run may take over from one of this plan; a ConfigError if nothing."""
    part = plan.build().reusable
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


def load_model_again(record: dict[str, Any], plan: Plan, load_data) -> FrozenModel:
    """The model that a run without a checkpoint of its own began with."""
    model = load_model(Path(record["model"]["run"]), plan, load_data(record))
    if model.record["sha256"] != record["model"]["sha256"]:
        raise RunError(
            f"{record['model']['run']}: its model is not the one that this run began with; "
            "start the run anew."
        )
    return model
