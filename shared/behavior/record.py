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
from shared.behavior.policies import (
    load_behavior,
    training_snapshots,
    weights_path,
    weights_sha256,
)
from shared.behavior.simulator import ENVIRONMENTS
from shared.data import catalog
from shared.data.files.ogbench import write_ogbench
from shared.data.files.writers import write_d4rl
from shared.environments import tasks
from shared.environments.control import TASKS
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
_PACKAGES = ("numpy", "gymnasium", "mujoco", "h5py")
PROTOCOL_OGBENCH = "recorded by latent-policies with OGBench's scripted oracles; not OGBench"
_CONTROL_PACKAGES = ("numpy", "dm-control", "mujoco", "h5py")
_OGBENCH_PACKAGES = ("numpy", "gymnasium", "dm-control", "mujoco", "ogbench")


class Recorded(NamedTuple):
    """What `record` wrote."""

    path: Path
    rows: int
    episodes: int
    sha256: str


def dataset_names() -> tuple[str, ...]:
    """Every name that `record` accepts."""
    d4rl = (f"{e}-{q}" for e in ENVIRONMENTS if e not in TASKS for q in QUALITIES)
    vd4rl = (f"{e}-{q}" for e in TASKS for q in catalog.VD4RL_QUALITIES)
    return (*d4rl, *vd4rl, *waypoints.TASKS, *ant.DATASETS, *oracles.DATASETS)


def plan(name: str, rows: int) -> tuple[Segment, ...]:
    """The segments of a data set in file order; their rows add up to `rows`.

    Raises:
        DataError: the name is not one of `dataset_names()`, there is less than
            one row for every segment, or weights are missing.
    """
    if name not in dataset_names():
        raise DataError(f"No collected data set '{name}'; choose one of {list(dataset_names())}.")
    if name in oracles.DATASETS:
        environment, quality = name, oracles.POLICY
    elif name in waypoints.TASKS:
        environment, quality = name, waypoints.POLICY
    elif name in ant.DATASETS:
        environment, quality = catalog.CATALOG[name].environment.name, ant.policy_of(name)
    else:
        environment, _, quality = name.partition("-")
        quality = quality.replace("_", "-")
    policies = {
        "medium-expert": lambda: ("medium", "expert"),
        "medium-replay": lambda: training_snapshots(environment, "medium"),
        "full-replay": lambda: training_snapshots(environment, "expert"),
    }.get(quality, lambda: (quality,))()
    if rows < len(policies):
        raise DataError(
            f"Data set '{name}' needs at least {len(policies)} rows; {rows} were asked."
        )
    ends = [rows * (i + 1) // len(policies) for i in range(len(policies))]
    quotas = np.diff([0, *ends])
    return tuple(Segment(environment, p, int(n)) for p, n in zip(policies, quotas, strict=True))


def record(
    name: str,
    rows: int,
    *,
    seed: int,
    path: str | Path,
    workers: int = 1,
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
        progress: called with `(rows done, rows in total)`.

    Raises:
        DataError: an unknown name, a bad number, or missing weights.
    """
    if seed < 0 or workers < 1:
        raise DataError(f"seed {seed} must be at least 0 and workers {workers} at least 1.")
    segments = plan(name, rows)
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
        else:
            write_d4rl(path, data, attributes)
    return Recorded(path, rows, episodes, hashlib.sha256(path.read_bytes()).hexdigest())


def _kept(path: Path, attributes: dict) -> contextlib.AbstractContextManager[Path]:
    """A folder of finished episodes beside the file; they do not depend on how many are wanted."""
    same = {k: x for k, x in attributes.items() if k not in ("rows", "segments")}
    return keeping(path.with_name(f"{path.name}.episodes"), same)


def _attributes(name: str, rows: int, seed: int, segments: tuple[Segment, ...]) -> dict:
    environment = segments[0].environment
    description, weights = describe_segments(segments)
    packages = _CONTROL_PACKAGES if environment in TASKS else _PACKAGES
    of_ogbench = name in oracles.DATASETS
    packages = _OGBENCH_PACKAGES if of_ogbench else packages
    known = tasks.find_task(environment)
    assert known is not None
    return {
        "source": "collected",
        "generator": "latent-policies",
        "protocol": PROTOCOL_OGBENCH if of_ogbench else PROTOCOL,
        "dataset": name,
        "environment": known.simulator,
        "rows": rows,
        "seed": seed,
        "behavior_weights": weights_path(environment).name if weights != "none" else "none",
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
        return [s._asdict() | {"action_noise": strength} for s in segments], "none"
    if segments[0].policy in noise:
        return [s._asdict() | {"action_noise": noise[s.policy]} for s in segments], "none"
    policies = [load_behavior(environment, s.policy) for s in segments]
    weights = weights_sha256(environment) if any(p.layers for p in policies) else "none"
    description = [
        {"policy": s.policy, "rows": s.rows, "environment_steps": p.environment_steps}
        | {"returns": p.returns}
        for s, p in zip(segments, policies, strict=True)
    ]
    return description, weights
