"""Records collected data sets in D4RL's file format, from this project's own policies.

Protocol, following D4RL's (Fu et al., 2020) for the gymnasium locomotion tasks:

    random          uniform actions
    medium          the training snapshot whose return is nearest a third of the expert's
    expert          the last and best policy of the training
    medium-expert   the first half from medium, the second half from expert
    medium-replay   equal numbers of rows from the training snapshots up to medium, in order
    full-replay     the same up to expert

dm_control's tasks are recorded by V-D4RL's protocol (Lu et al., 2022), the same but
that medium is half as good as the expert.

Actions are sampled from the policy, episodes end after 1000 steps (dm_control: 500)
with `timeouts`, or where the robot falls (`terminals`), and the file is cut at exactly
the rows asked for (a cut episode ends with a timeout).  The sets of maze2d and antmaze
come from a planner and a controller, see `waypoints` and `ant`; those of OGBench from the
benchmark's own scripted oracles, in its own form, see `oracles`.

Differences from D4RL: the replay sets are fresh episodes of stored snapshots,
not the replay buffer itself, so that they need no training to be reproduced;
the simulators are `-v4`; `next_observations` holds the true next observation
on the last row of an episode too; there is no `infos/action_log_probs`.  The
files say so: their `source` is "collected", and they are never called D4RL.

The unit is the episode.  Episode i of segment s depends on
`SeedSequence([seed, s, i])` alone, so that workers may run episodes in any
order: the same name, rows and seed give the same file, byte for byte, on the
same machine and package versions whatever the number of workers.
"""

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.behavior import ant, oracles, waypoints
from shared.behavior.episodes import Segment, stream_blocks
from shared.behavior.kept_episodes import keeping
from shared.behavior.open_simulator import OpenSimulator
from shared.behavior.policies import (
    load_behavior,
    training_snapshots,
    weights_name,
    weights_sha256,
)
from shared.behavior.simulator import ENVIRONMENTS, is_control
from shared.data import catalog
from shared.data.files.ogbench import write_ogbench
from shared.data.files.writers import write_d4rl
from shared.environments import tasks
from shared.environments.control import TASKS
from shared.environments.open_tasks import task_part
from shared.environments.units import Units
from shared.errors import DataError

QUALITIES = (
    "random",
    "medium",
    "medium-replay",
    "full-replay",
    "medium-expert",
    "expert",
)
PROTOCOL = "recorded by latent-policies; not D4RL"
# Whose versions the rows depend on: those of NumPy and h5py would give equal rows other hashes.
_PACKAGES = ("gymnasium", "mujoco")
PROTOCOL_OGBENCH = "recorded by latent-policies with OGBench's scripted oracles; not OGBench"
_CONTROL_PACKAGES = ("dm-control", "mujoco")
_OGBENCH_PACKAGES = ("numpy", "gymnasium", "dm-control", "mujoco", "ogbench")


class Recorded(NamedTuple):
    """What `record` wrote."""

    path: Path
    rows: int
    episodes: int
    sha256: str


def dataset_names() -> tuple[str, ...]:
    """Every name that `record` accepts, besides those of tasks by their own package's name."""
    d4rl = (f"{e}-{q}" for e in ENVIRONMENTS if e not in TASKS for q in QUALITIES)
    vd4rl = (f"{e}-{q}" for e in TASKS for q in catalog.VD4RL_QUALITIES)
    return (*d4rl, *vd4rl, *waypoints.TASKS, *ant.DATASETS, *oracles.DATASETS)


def require_name(name: str) -> None:
    """Raise a DataError unless such a set can be recorded."""
    if task_part(name) is not None:
        catalog.lookup(name)
    elif name not in dataset_names():
        raise DataError(f"No collected data set '{name}'; choose one of {list(dataset_names())}.")


def plan(name: str, rows: int, weights: Path | None = None) -> tuple[Segment, ...]:
    """The segments of a data set in file order; their rows add up to `rows`.

    `weights` is a file of one's own policies; None is this package's.

    Raises:
        DataError: the name is not one of `dataset_names()`, there is less than
            one row for every segment, or weights are missing.
    """
    require_name(name)
    if name in oracles.DATASETS:
        environment, quality = name, oracles.POLICY
    elif name in waypoints.TASKS:
        environment, quality = name, waypoints.POLICY
    elif name in ant.DATASETS:
        environment, quality = catalog.CATALOG[name].environment.name, ant.policy_of(name)
    else:
        environment = task_part(name) or name.partition("-")[0]
        quality = name.removeprefix(f"{environment}-").replace("_", "-")
    policies = {
        "medium-expert": lambda: ("medium", "expert"),
        "medium-replay": lambda: training_snapshots(environment, "medium", weights),
        "full-replay": lambda: training_snapshots(environment, "expert", weights),
    }.get(quality, lambda: (quality,))()
    if rows < len(policies):
        raise DataError(
            f"Data set '{name}' needs at least {len(policies)} rows; {rows} were asked."
        )
    ends = [rows * (i + 1) // len(policies) for i in range(len(policies))]
    quotas = np.diff([0, *ends])
    each = zip(policies, quotas, strict=True)
    return tuple(Segment(environment, p, int(n), weights) for p, n in each)


def record(
    name: str,
    rows: int,
    *,
    seed: int,
    path: str | Path,
    workers: int = 1,
    weights: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recorded:
    """Record a data set of exactly `rows` transitions and write it to `path`.

    Arguments:
        name: `<environment>-<quality>`, one of `dataset_names()`.
        rows: number of transitions.
        seed: not negative; the file's bytes depend on `(name, rows, seed)`.
        path: the HDF5 file (of OGBench: npz); it appears only when complete.
        workers: processes; with more than one, a script that calls this needs
            the usual `if __name__ == "__main__"`.
        weights: file of one's own policies; None is this package's.
        progress: called with `(rows done, rows in total)`.

    Raises:
        DataError: an unknown name, a bad number, or missing weights.
    """
    if seed < 0 or workers < 1:
        raise DataError(f"seed {seed} must be at least 0 and workers {workers} at least 1.")
    segments = plan(name, rows, weights)
    data: dict[str, np.ndarray] = {}
    done = episodes = 0
    path, attributes = Path(path), _attributes(name, rows, seed, segments)
    of_ogbench = name in oracles.DATASETS
    with _kept(path, attributes) if of_ogbench else contextlib.nullcontext() as keep:
        for block, finished in stream_blocks(segments, seed=seed, workers=workers, keep=keep):
            if not data:
                data = {k: np.empty((rows, *x.shape[1:]), x.dtype) for k, x in block.items()}
            n = len(block["actions"])
            for key, value in block.items():
                data[key][done : done + n] = value
            done, episodes = done + n, episodes + finished
            if progress is not None:
                progress(done, rows)
        if of_ogbench:
            del data["terminals"]
            write_ogbench(path, data, attributes)
    if not of_ogbench:
        bounds = command_range(segments[0].environment)
        if bounds:
            data["actions"] = in_units(data["actions"], bounds)
        write_d4rl(path, {key: x for key, x in data.items() if x.size}, attributes | bounds)
    return Recorded(path, rows, episodes, hashlib.sha256(path.read_bytes()).hexdigest())


def _kept(path: Path, attributes: dict) -> contextlib.AbstractContextManager[Path]:
    """A folder of finished episodes beside the file; they do not depend on how many are wanted."""
    same = {k: x for k, x in attributes.items() if k not in ("rows", "segments")}
    return keeping(path.with_name(f"{path.name}.episodes"), same)


def command_range(environment: str) -> dict[str, np.ndarray]:
    """What a file declares of the commands of a task that acts in units of its own."""
    if task_part(environment) is None or is_control(environment):
        return {}
    simulator = OpenSimulator(environment)
    bounds = simulator.units.action_range
    simulator.close()
    return {} if bounds is None else {"action_low": bounds[0], "action_high": bounds[1]}


def in_units(actions: np.ndarray, bounds: dict[str, np.ndarray]) -> np.ndarray:
    """Actions in [-1, 1] as commands."""
    return Units((bounds["action_low"], bounds["action_high"])).command(actions)


def _attributes(name: str, rows: int, seed: int, segments: tuple[Segment, ...]) -> dict:
    environment = segments[0].environment
    description, weights = describe_segments(segments)
    of_ogbench = name in oracles.DATASETS
    packages = _CONTROL_PACKAGES if is_control(environment) else _PACKAGES
    packages = _OGBENCH_PACKAGES if of_ogbench else packages
    return {
        "source": "collected",
        "generator": "latent-policies",
        "protocol": PROTOCOL_OGBENCH if of_ogbench else PROTOCOL,
        "dataset": name,
        "environment": tasks.environments()[environment].simulator,
        "rows": rows,
        "seed": seed,
        "behavior_weights": weights_name(environment) if weights != "none" else "none",
        "behavior_weights_sha256": weights,
        "segments": json.dumps(description),
        "versions": json.dumps({p: importlib.metadata.version(p) for p in packages}),
    }


def describe_segments(segments: tuple[Segment, ...]) -> tuple[list[dict], str]:
    """What is to be known of every segment's policy, and the digest of the weights or "none"."""
    environment = segments[0].environment
    noise = {waypoints.POLICY: waypoints.NOISE} | dict.fromkeys(ant.POLICIES, ant.NOISE)
    if segments[0].policy == oracles.POLICY:
        strength = oracles.NOISE[environment.rpartition("-")[2]]
        plain = [{"environment": environment, "policy": s.policy, "rows": s.rows} for s in segments]
        return [x | {"action_noise": strength} for x in plain], "none"
    if segments[0].policy in noise:
        plain = [{"environment": environment, "policy": s.policy, "rows": s.rows} for s in segments]
        return [x | {"action_noise": noise[x["policy"]]} for x in plain], "none"
    own = segments[0].weights
    policies = [load_behavior(environment, s.policy, own) for s in segments]
    weights = weights_sha256(environment, own) if any(p.layers for p in policies) else "none"
    description = [
        {"policy": s.policy, "rows": s.rows, "environment_steps": p.environment_steps}
        | {"returns": p.returns}
        for s, p in zip(segments, policies, strict=True)
    ]
    return description, weights
