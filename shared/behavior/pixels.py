"""Records V-D4RL's sets anew: frames and states of dm_control's tasks, in its own layouts.

So it does tasks that go by their own package's name (`shared/environments/open_tasks.py`).  There
a file holds as many whole episodes as it takes for the frames of the longest one, and its name does
not tell how many these are.

    64 px   one `.npz` an episode, `<number>-<policy>-<rows>.npz`
    84 px   `.hdf5` shards of ten episodes, channels first

Every row holds the frame, the action and the reward that led to it, and the parts of
the state by dm_control's names.  An episode has 501 rows, the first with a zero
action.  Policies, seeds and episodes are those of `record`: the state file and the
pixel folder of the same name and seed show the same episodes.

The unit is a file.  Episode i of segment s depends on `SeedSequence([seed, s, i])`
alone and files are written aside and renamed, so the bytes do not depend on the
number of workers, and a recording that was killed goes on with the files that are
missing.  Frames are drawn without a GPU by one thread a worker.

`collected.json` in the folder, and the zip comment or the HDF5 attributes of every
file, say that this is no V-D4RL data and how it was drawn.
"""

import importlib.metadata
import json
import os
from collections.abc import Callable
from concurrent.futures import as_completed
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.behavior.episodes import Segment
from shared.behavior.policies import load_behavior
from shared.behavior.record import (
    command_range,
    dataset_names,
    describe_segments,
    in_units,
    plan,
)
from shared.behavior.recorders import recorders
from shared.behavior.rollout import run_episode
from shared.behavior.simulator import DrawingSimulator, make_drawing
from shared.data.catalog import lookup
from shared.data.vd4rl.folder import RECORD, read_record
from shared.data.vd4rl.writer import write_archive, write_shard
from shared.environments.checked import step_limit
from shared.environments.control import HORIZON, TASKS
from shared.environments.open_tasks import task_part
from shared.environments.rendering import SETTINGS
from shared.errors import DataError

ROWS = HORIZON + 1
PROTOCOL = "recorded by latent-policies in V-D4RL's layout; not V-D4RL"
SIZES = (64, 84)
_SHARD_EPISODES = 10
_PACKAGES = ("numpy", "dm-control", "mujoco", "h5py")


class Unit(NamedTuple):
    """One file: `count` episodes of one policy from number `first` of a segment on."""

    file: str
    environment: str
    policy: str
    segment: int
    first: int
    count: int
    rows: int
    weights: Path | None


class Order(NamedTuple):
    """What a worker must know besides its unit."""

    seed: int
    size: int
    render: str
    comment: str


def record_pixels(
    name: str,
    frames: int,
    *,
    seed: int,
    folder: Path,
    size: int = 64,
    render: str = "fast",
    workers: int = 1,
    weights: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Record at least `frames` frames of whole episodes; goes on where it was stopped.

    Arguments:
        name: `<task>-<quality>` in V-D4RL's spelling, e.g. `walker_walk-medium_expert`.
        frames: rounded up to whole episodes of 501 rows, equally many from every policy.
        seed: not negative.
        folder: receives the files; the folder of another recording is refused.
        size: 64 (npz) or 84 (HDF5).
        render: name of the `RenderSettings`.
        workers: processes; with more than one, a script that calls this needs the
            usual `if __name__ == "__main__"`.
        weights: file of one's own policies; None is this package's.
        progress: called with (frames done, frames in total).

    Raises:
        DataError: unknown name, bad number, missing weights, or another recording's folder.
        SystemPackageError: the machine has no headless OpenGL.
    """
    _require(name, frames, seed, size, render, workers)
    units = plan_units(name, frames, size, weights)
    record = _describe(name, units, seed, size, render)
    _claim(folder, record)
    order = Order(seed, size, render, json.dumps(record))
    missing = [unit for unit in units if not (folder / unit.file).exists()]
    total = sum(unit.rows for unit in units)
    done = total - sum(unit.rows for unit in missing)
    tell = progress or (lambda done, total: None)
    if missing:
        tell(done, total)
    for unit in _each(missing, order, folder, min(workers, max(1, len(missing)))):
        done += unit.rows
        tell(done, total)
    return folder


def plan_units(name: str, frames: int, size: int, weights: Path | None = None) -> list[Unit]:
    """The files of a recording in order; every policy gives equally many episodes, or one less."""
    longest = frames_of(name)
    episodes = -(-frames // longest)
    segments = plan(name, max(episodes, 1), weights)
    varies = task_part(name) is not None
    per_file = 1 if size == 64 else _SHARD_EPISODES
    units = []
    for index, segment in enumerate(segments):
        for first in range(0, segment.rows, per_file):
            count = min(per_file, segment.rows - first)
            number = sum(unit.count for unit in units)
            rows = longest * count
            stem = f"{number:06d}-{segment.policy}" + ("" if varies else f"-{rows}")
            file = f"{stem}.npz" if size == 64 else f"{stem}.hdf5"
            about = segment.environment, segment.policy, index, first, count, rows
            unit = Unit(file, *about, segment.weights)
            units.append(unit)
    return units


def frames_of(name: str) -> int:
    """Frames of the longest episode of a data set's task."""
    return step_limit(lookup(name).environment) + 1


def _require(name: str, frames: int, seed: int, size: int, render: str, workers: int) -> None:
    known = [x for x in dataset_names() if x.partition("-")[0] in TASKS]
    if name not in known and task_part(name) is None:
        raise DataError(f"No frames of '{name}' can be recorded; choose one of {known}.")
    if frames < 1 or seed < 0 or workers < 1:
        raise DataError(
            f"frames {frames} and workers {workers} must be at least 1, and seed {seed} at least 0."
        )
    if size not in SIZES or render not in SETTINGS:
        raise DataError(
            f"frames are recorded at {' or '.join(map(str, SIZES))} pixels and drawn "
            f"{' or '.join(SETTINGS)}, not {size} and '{render}'."
        )


def _describe(name: str, units: list[Unit], seed: int, size: int, render: str) -> dict:
    environment, own = units[0].environment, units[0].weights
    policies = dict.fromkeys(unit.policy for unit in units)
    counts = {p: sum(unit.rows for unit in units if unit.policy == p) for p in policies}
    segments = tuple(Segment(environment, p, n, own) for p, n in counts.items())
    description, weights = describe_segments(segments)
    bounds = {key: x.tolist() for key, x in command_range(environment).items()}
    return bounds | {
        "source": "collected",
        "generator": "latent-policies",
        "protocol": PROTOCOL,
        "dataset": name,
        "frames": sum(counts.values()),
        "seed": seed,
        "size": size,
        "render": json.dumps(SETTINGS[render]._asdict()),
        "behavior_weights_sha256": weights,
        "segments": json.dumps(description),
        "versions": json.dumps({p: importlib.metadata.version(p) for p in _PACKAGES}),
    }


def _claim(folder: Path, record: dict) -> None:
    """Write `collected.json`, or refuse a folder that holds anything else."""
    path = folder / RECORD
    if path.exists():
        found = read_record(folder)
        other = [key for key in record if found.get(key) != record[key]]
        if other:
            raise DataError(
                f"{folder}: holds another recording (its '{other[0]}' differs); name another --out."
            )
    elif folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder}: is not empty; name a new folder with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.partial"):  # of a recording that was killed
        leftover.unlink()
    _replace(path, lambda aside: aside.write_text(json.dumps(record, indent=1) + "\n"))


def _each(units: list[Unit], order: Order, folder: Path, workers: int):
    """Record the units; yields each when its file is in place."""
    if workers == 1:
        try:
            for unit in units:
                record_unit(unit, order, folder)
                yield unit
        finally:
            for unit in units[:1]:
                _simulator(unit.environment, order.render).close()
            _simulator.cache_clear()
        return
    with recorders(workers, _draw_with_one) as pool:
        futures = {pool.submit(record_unit, unit, order, folder): unit for unit in units}
        for future in as_completed(futures):
            future.result()
            yield futures[future]


def _draw_with_one() -> None:
    """Every worker draws with one thread; more of them only wait for one another."""
    os.environ["LP_NUM_THREADS"] = "1"


def record_unit(unit: Unit, order: Order, folder: Path) -> None:
    """Run the episodes of one file and write it; what a worker executes."""
    simulator = _simulator(unit.environment, order.render)
    policy, rows = _policy(unit.environment, unit.policy, unit.weights), unit.rows // unit.count
    bounds, episodes = command_range(unit.environment), []
    for i in range(unit.first, unit.first + unit.count):
        place, had = [order.seed, unit.segment, i], 0
        while had < rows:  # one whole episode, or as many as it takes
            more = [had] if had else []
            seed = np.random.SeedSequence([*place, *more])
            episodes.append(_run(simulator, policy, seed, order.size, bounds))
            had += len(episodes[-1]["reward"])
    if order.size == 64:  # one archive
        episodes = [{key: np.concatenate([x[key] for x in episodes]) for key in episodes[0]}]
    write = write_archive if order.size == 64 else write_shard
    _replace(folder / unit.file, lambda aside: write(aside, episodes, order.comment))


@cache
def _simulator(environment: str, render: str) -> DrawingSimulator:
    return make_drawing(environment, SETTINGS[render])


_policy = cache(load_behavior)


def _run(
    simulator, policy, seed: np.random.SeedSequence, size: int, bounds: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """One episode in V-D4RL's convention and names, frames channels last."""
    images = np.empty((simulator.horizon + 1, size, size, 3), np.uint8)
    parts: list[dict[str, np.ndarray]] = []

    def watch() -> None:
        images[len(parts)] = simulator.render(size)
        parts.append(dict(simulator.observe_parts()))

    episode = run_episode(simulator, policy, seed, watch=watch)
    action, reward = episode["actions"], episode["rewards"]
    action = in_units(action, bounds) if bounds else action
    rows = len(reward) + 1
    places, terminal = np.arange(rows), np.append(False, episode["terminals"])
    return {
        "image": images[:rows],
        "action": np.concatenate([np.zeros_like(action[:1]), action]),
        "reward": np.concatenate([np.zeros_like(reward[:1]), reward]),
        "discount": (~terminal).astype(np.float32),
        "is_first": places == 0,
        "is_last": places == rows - 1,
        "is_terminal": terminal,
        **{k: np.array([p[k] for p in parts], np.float32) for k in parts[0]},
    }


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write aside, to the disk, and into place in one step."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(aside)
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
