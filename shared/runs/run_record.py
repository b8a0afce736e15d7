"""What `run.json` says of a run: its data, sizes, phases, versions and command."""

import shlex
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from shared.datasets.dataset import Dataset
from shared.record.run_folder import versions
from shared.record.usage import commit
from shared.runs.plan import Plan
from shared.training import program


def make_record(plan: Plan, data: Dataset, label: str | None = None) -> dict[str, Any]:
    """The record of a run that is about to start."""
    return {
        "family": plan.family,
        "algorithm": plan.algorithm,
        "environment": data.environment,
        "dataset": plan.dataset,
        "source": data.source,
        "data": _describe(data),
        "spec": {
            "observation_shape": list(data.spec.observation_shape),
            "action_size": data.spec.action_size,
            "action_range": _lists(data.action_range),
            "observation_offset": _lists(data.observation_offset),
        },
        "pixels": None if data.pixels is None else data.pixels.to_dict(),
        "seeds": list(plan.seeds),
        "phases": phases_of(plan),
        "versions": versions(),
        "commit": commit(),
        "devices": [str(device) for device in jax.devices()],
        "command": command(),
        "label": label or plan.algorithm,
        "status": "waiting",
    }


def phases_of(plan: Plan) -> list[dict[str, Any]]:
    """Name and updates of every phase."""
    phases = program.phases_of(plan.build(), plan.settings.online_steps)
    return [{"name": phase.name, "steps": phase.steps} for phase in phases]


def command() -> str:
    """The command line of this process, as a shell would take it again."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def observation_shape(record: dict[str, Any]) -> tuple[int, ...]:
    """Shape of an observation in a run's record; earlier versions knew flat ones alone."""
    spec = record["spec"]
    return tuple(spec.get("observation_shape") or [spec["observation_size"]])


def _describe(data: Dataset) -> dict[str, Any]:
    returns = data.episode_returns
    return {
        "name": data.name,
        "path": str(Path(data.path).resolve()),
        "sha256": data.sha256,
        "rows": data.rows,
        "cut_jumps": data.cut_jumps,
        "action_range": _pairs(data.action_range),
        **({"frames": data.rows + len(returns)} if data.pixels is not None else {}),
        "episodes": len(returns),
        "mean_return": data.mean_return,
        "mean_score": data.mean_score,
        "p90_return": float(np.quantile(returns, 0.9)),
        "best_return": float(returns.max()),
    }


def _lists(numbers) -> list | None:
    return None if numbers is None else [np.asarray(x).tolist() for x in numbers]


def _pairs(bounds) -> list[float] | None:
    """As the setting `action_range` takes it: a pair a motor, one after the other."""
    return None if bounds is None else np.stack(bounds, axis=1).ravel().tolist()
