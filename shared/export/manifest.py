"""What a policy file says of itself, in JSON: one form for all formats."""

from typing import Any

import numpy as np

from shared.environments.units import Units
from shared.export.program import NEXT, PolicyProgram
from shared.record.usage import commit, version
from shared.storage.durable import plain

FORMAT = 1


def make_manifest(
    program: PolicyProgram, record: dict[str, Any], *, run: str, **choices: Any
) -> dict[str, Any]:
    """The manifest of a run's policy, without the digests of its parts.

    Arguments:
        program: what the file computes.
        record: `run.json`.
        run: name of the run's folder.
        choices: seed, part, checkpoint, step, whether it samples.
    """
    units, graph = Units.of(record), program.graph
    about = ("family", "algorithm", "environment", "dataset", "source", "label")
    return plain(
        {
            "policy_format": FORMAT,
            **{name: record.get(name) for name in about},
            "run": run,
            **choices,
            "data": {name: record["data"].get(name) for name in ("name", "sha256", "rows")},
            "action_range": units.action_range,
            "observation_offset": units.observation_offset,
            "inputs": [_input(program, name) for name in graph.inputs],
            "outputs": [_tensor(graph, name) for name in graph.outputs],
            "memory": {name: NEXT + name for name in program.memory},
            "versions": packages(record),
            "commit": record.get("commit"),
            "exported_by": {"version": version(), "commit": commit()},
        }
    )


def packages(record: dict[str, Any]) -> dict[str, str]:
    """What a run was trained with, but for the name of its machine's system."""
    return {k: v for k, v in (record.get("versions") or {}).items() if k != "platform"}


def _tensor(graph, name: str) -> dict[str, Any]:
    shape = graph.shape_of(name)
    return {"name": name, "shape": [*shape.shape], "dtype": np.dtype(shape.dtype).name}


def _input(program: PolicyProgram, name: str) -> dict[str, Any]:
    """Name, shape, dtype; and what it is at first, or is drawn from."""
    about = _tensor(program.graph, name)
    if name in program.memory:
        about["initial"] = program.memory[name]
    if name in program.graph.noise:
        about["draw"] = program.graph.noise[name]
    return about
