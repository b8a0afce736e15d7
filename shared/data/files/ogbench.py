"""OGBench's npz archives as D4RL's rows, and back.

A file of the benchmark holds `observations`, `actions`, `terminals`, `qpos`, `qvel` and, of scenes
and puzzles, `button_states`: what was done, for no task in particular.

    terminals   ends of trajectories, which are our timeouts; the row that they mark has an
                observation and no successor, and is no transition
    rewards     and masks of a task are computed from the states; a mask of 0 is a success and our
                terminal, and the trajectory goes on after it

What the benchmark's loader makes of a file may be stored, too: `rewards` and `masks` then are as
they stand, and there are `next_observations`, or `valids`, which are 0 in rows without a successor.

Source of the facts: OGBench (Park et al., 2025), MIT.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from shared.data.catalog import official_entry
from shared.data.files.attributes import Attributes
from shared.data.files.npz import read_npz
from shared.data.files.signature import AGAIN
from shared.data.files.writers import write_archive
from shared.environments import ogbench_names
from shared.environments.ogbench_simulator import judge
from shared.errors import DataError

_STATES = ("qpos", "button_states")
_STORED = ("next_observations", "rewards", "masks", "valids")
WANTED = ("observations", "actions", "terminals", *_STATES, *_STORED)
"""Keys that are read of such an archive."""
TASK = "task"
"""The attribute that says which task's rewards these are."""


def has_layout(keys: Iterable[str]) -> bool:
    """Is an archive with these keys one of OGBench's?"""
    found = set(keys)
    if not {"observations", "actions", "terminals"} <= found:
        return False
    return "masks" in found or ("qpos" in found and "rewards" not in found)


def task_of(path: Path, attributes: Attributes, used_as: str | None) -> ogbench_names.Name | None:
    """The task that a file is read for: what it is used as, else what it says it is."""
    official = official_entry(path.name)
    told = str(attributes.get("dataset", "" if official is None else official.name))
    return ogbench_names.parse(told if used_as is None else used_as)


def to_rows(
    where: str, arrays: dict[str, np.ndarray], task: ogbench_names.Name | None
) -> dict[str, np.ndarray]:
    """The transitions by D4RL's keys: `terminals` are successes, `timeouts` ends.

    Arguments:
        where: the file, for the sentences.
        arrays: raw arrays by `WANTED`.
        task: whose rewards are computed where the file holds none.

    Raises:
        DataError: columns do not belong together, or rewards cannot be computed.
    """
    arrays = {key: x for key, x in arrays.items() if key in WANTED}
    lengths = {key: len(x) if x.ndim else 0 for key, x in arrays.items()}
    if len(set(lengths.values())) > 1 or min(lengths.values()) < 2:
        told = ", ".join(f"{key} {n:,}" for key, n in lengths.items())
        raise DataError(
            f"{where}: columns have different lengths, or no rows ({told}); align them."
        )
    ends = _flags(where, "terminals", arrays["terminals"])
    if "rewards" not in arrays or "masks" not in arrays:
        arrays |= _judged(where, arrays, task)
    success = ~_flags(where, "masks", arrays["masks"])
    rows = {key: arrays[key] for key in ("observations", "actions", "rewards")}
    rows |= {"terminals": success, "timeouts": ends}
    if "next_observations" in arrays:
        return rows | {"next_observations": arrays["next_observations"]}
    if "valids" in arrays:
        followed = _flags(where, "valids", arrays["valids"])
    else:
        followed, rows["timeouts"] = ~ends, np.append(ends[1:], False)
    followed[-1] = False
    if not followed.any():
        raise DataError(f"{where}: no row has a successor; record longer episodes.")
    kept = np.flatnonzero(followed)
    following = arrays["observations"][kept + 1]
    return {key: x[kept] for key, x in rows.items()} | {"next_observations": following}


def _judged(
    where: str, arrays: dict[str, np.ndarray], task: ogbench_names.Name | None
) -> dict[str, np.ndarray]:
    if task is None:
        raise DataError(
            f"{where}: holds no rewards, as OGBench's files; name the task that they shall be of "
            "(--env cube-single-play-singletask-task2)."
        )
    for key in _STATES:
        if key in arrays and not np.isfinite(arrays[key]).all():
            rows = arrays[key].reshape(len(arrays[key]), -1)
            row = int(np.isfinite(rows).all(axis=1).argmin())
            raise DataError(
                f"{where}: key '{key}' is not finite in row {row:,}, so nobody knows of success "
                "there; leave the episode out."
            )
    try:
        rewards, masks = judge(task, {key: arrays[key] for key in _STATES if key in arrays})
    except ValueError as error:
        raise DataError(f"{where}: {error}; name the data set that it is with --env.") from error
    return {"rewards": rewards, "masks": masks}


def _flags(where: str, key: str, x: np.ndarray) -> Bool[np.ndarray, "rows"]:
    """A column of flags, stored as 0 and 1 of any type."""
    wrong = np.flatnonzero(~np.isin(x, (0, 1)))
    if x.ndim != 1 or wrong.size:
        found = f"shape {x.shape}" if x.ndim != 1 else f"{x[wrong[0]]} in row {wrong[0]:,}"
        raise DataError(f"{where}: key '{key}' has {found}; store a flag a row, 0 or 1.")
    return x != 0


def write_ogbench(path: Path, rows: dict[str, np.ndarray], record: Attributes) -> None:
    """Write trajectories as the benchmark does; equal contents give equal bytes.

    Arguments:
        path: the npz archive.
        rows: `observations`, `actions`, `timeouts`, and simulator states as `infos/qpos`, ...;
            every trajectory with a last row that has no successor.
        record: what the archive says of itself, in its comment.
    """
    arrays = {key.removeprefix("infos/"): x for key, x in rows.items()}
    arrays["terminals"] = arrays.pop("timeouts")
    write_archive(path, [arrays], json.dumps(record))


def require_ogbench(path: Path) -> None:
    """Refuse bytes that are none of the benchmark's archives, as a server may send.

    Raises:
        DataError: they are not.
    """
    if not has_layout(read_npz(path, ()).keys):
        raise DataError(f"{path}: is no archive of OGBench; {AGAIN}.")
