"""The rows of one V-D4RL file, checked: an episode archive or a shard of many episodes.

    *.npz    image (T, 64, 64, 3) uint8, action (T, n), reward, discount, is_first,
             is_last, is_terminal, and in some the parts of the state by dm_control's names,
             or a flat `state`; with a state, the image may be missing
    *.hdf5   observation (N, 3, 84, 84) uint8, action, reward, discount, step_type
             (0 first, 1 inside, 2 last)

Others mix the two: pictures may be named `image`, `observation` or `pixels` in either, an HDF5 file
may have `is_first` for `step_type`.  The parts of the state of a task that is not known are all
other columns of numbers, in the order of the file.

Frames are the bulk, so they are read apart from everything else.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.data.files.hdf5 import read_hdf5
from shared.data.files.npz import read_npz
from shared.data.recording.flags import one_less
from shared.data.vd4rl.flags import check_rows
from shared.environments.control import TASKS, ControlTask
from shared.errors import DataError

STATE_PARTS = tuple(dict.fromkeys(name for task in TASKS.values() for name, _ in task.parts))
STATE = "state"
"""Flat observations of a task that is not dm_control's."""
_ARCHIVE_KEYS = ("action", "reward", "discount", "is_first", "is_last", "is_terminal")
_SHARD_KEYS = ("step_type", *_ARCHIVE_KEYS)
_NO_STATE = re.compile(r".*(?:image|pixels|rgb|depth|camera|observation|log_?prob|action|goal).*")
"""Other columns that are no part of a state."""
_FLAT = {"reward", "discount", "is_first", "is_last", "is_terminal", "step_type"}


class Rows(NamedTuple):
    """All rows of a file but the frames, as they are stored: action and reward led to the row.

    `remarks` say what is strange about them, without the file's name and a full stop.
    """

    state: np.ndarray | None
    action: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    is_first: np.ndarray
    remarks: tuple[str, ...] = ()


def read_rows(file: Path, task: ControlTask | None) -> Rows:
    """Everything but the frames; the state, if it is there as parts of `task` or flat.

    Raises:
        DataError: the file is broken or hostile, or a key is missing or of another form.
    """
    archive = file.suffix == ".npz"
    flags = _ARCHIVE_KEYS if archive else _SHARD_KEYS
    parts = STATE_PARTS if task is None else tuple(name for name, _ in task.parts)
    arrays, keys = _read(file, (*flags, *parts, STATE))
    rows, told = _checked(file, arrays, keys)
    n = len(rows["reward"])
    state = _state(file, task, rows, n)
    if state is None and task is None:
        state = _joined(file, keys, n)
    if state is None and not has_frames(file):
        raise _no_frames(file, keys)
    over = rows.get("discount", np.ones(n, np.float32)) == 0
    if archive or {"step_type", "is_first"} & {*rows} == {"is_first"}:
        is_first = _flags(file, rows, "is_first", np.arange(n) == 0)
        terminal = _flags(file, rows, "is_terminal", over)
    else:
        step_type = _step_type(file, rows)
        is_first, terminal = step_type == 0, (step_type == 2) & over
    remarks = (*told, *check_rows(file, rows, is_first, terminal))
    is_first[0] = True
    return Rows(state, rows["action"], rows["reward"], terminal, is_first, remarks)


def read_frames(file: Path, rows: int) -> np.ndarray:
    """The frames of a file, (rows, height, width, 3) uint8, from either order of the channels.

    Raises:
        DataError: the file is broken or hostile, or the frames are of another form or number.
    """
    key = _image_key(file)
    arrays, keys = _read(file, (key,))
    if key not in arrays:
        raise _no_frames(file, keys)
    image = arrays[key]
    if image.dtype != np.uint8 or image.ndim != 4 or 3 not in (image.shape[1], image.shape[3]):
        mend = ", multiplied by 255 if they are 0..1" if image.dtype.kind == "f" else ""
        raise DataError(
            f"{file}: key '{key}' is {image.dtype} of shape {image.shape}; store uint8 images as "
            f"(rows, height, width, 3) or (rows, 3, height, width){mend}."
        )
    if len(image) != rows:
        raise DataError(
            f"{file}: key '{key}' has {len(image)} rows, but 'reward' has {rows}; align them."
        )
    return image if image.shape[3] == 3 else image.transpose(0, 2, 3, 1)


def _image_key(file: Path) -> str:
    """The key of the pictures; the layout's own where there are none."""
    names = ("image", "observation") if file.suffix == ".npz" else ("observation", "image")
    keys = _read(file, ())[1]
    return next((name for name in (*names, "pixels") if name in keys), names[0])


def has_frames(file: Path) -> bool:
    """Are there pictures in this file?"""
    return _image_key(file) in _read(file, ())[1]


def _joined(file: Path, keys: tuple[str, ...], n: int) -> np.ndarray | None:
    """All other columns of real numbers, the state of a task that is not known; None if none."""
    others = [x for x in keys if x not in _SHARD_KEYS and not _NO_STATE.fullmatch(x.lower())]
    found = _read(file, tuple(others))[0]
    fit = [x for x in found.values() if x.dtype.kind == "f" and x.ndim in (1, 2) and len(x) == n]
    if not fit:
        return None
    return np.concatenate([x.reshape(n, -1).astype(np.float32) for x in fit], axis=1)


def _no_frames(file: Path, keys: tuple[str, ...]) -> DataError:
    return DataError(
        f"{file}: key '{_image_key(file)}' is missing (it holds {', '.join(keys[:9])}); "
        "record the frames with the rest."
    )


def _read(file: Path, wanted: tuple[str, ...]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    contents = (read_npz if file.suffix == ".npz" else read_hdf5)(file, wanted)
    return contents.arrays, contents.keys


def _checked(
    file: Path, arrays: dict[str, np.ndarray], keys: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Arrays of one length, with flat rewards and finite float32 numbers; and remarks."""
    for key in ("action", "reward"):
        if key not in keys:
            raise DataError(
                f"{file}: key '{key}' is missing (it holds {', '.join(keys[:9])}); add it."
            )
    rows = dict(arrays)
    for key in rows.keys() & _FLAT:
        if rows[key].ndim == 2 and rows[key].shape[1] == 1:
            rows[key] = rows[key][:, 0]
    for key in ("action", "reward"):
        shape, wanted = rows[key].shape, 2 if key == "action" else 1
        if len(shape) != wanted:
            form = "(rows, size)" if key == "action" else "(rows,)"
            raise DataError(f"{file}: key '{key}' has shape {shape}; store it as {form}.")
        rows[key] = rows[key].astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(rows[key]).reshape(len(rows[key]), -1).all(1))
        if bad.size:
            raise DataError(f"{file}: key '{key}' is not finite in row {bad[0]}; drop the episode.")
    told = _drop_extra_flags(rows)
    lengths = {key: len(x) if x.ndim else 0 for key, x in rows.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} {n}" for key, n in lengths.items())
        raise DataError(f"{file}: arrays have different lengths ({told}); align them.")
    if lengths["reward"] < 2:
        raise DataError(f"{file}: has {lengths['reward']} row(s); an episode needs at least two.")
    return rows, told


def _drop_extra_flags(rows: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Shorten flags that have one entry more than the rewards; a remark for each."""
    told = []
    for key in sorted(rows.keys() & _FLAT - {"reward"}):
        if rows[key].ndim == 1 and len(rows[key]) == len(rows["reward"]) + 1:
            rows[key], place = one_less(rows[key])
            told.append(f"key '{key}' has one entry more than the rows; the {place} is left out")
    return tuple(told)


def _step_type(file: Path, rows: dict[str, np.ndarray]) -> np.ndarray:
    if "step_type" not in rows:
        raise DataError(
            f"{file}: key 'step_type' is missing; store 0, 1, 2 for first, inside and last."
        )
    if rows["step_type"].ndim != 1 or not np.isin(rows["step_type"], (0, 1, 2)).all():
        raise DataError(f"{file}: key 'step_type' must be 0, 1 or 2 in every row; correct it.")
    return rows["step_type"]


def _flags(file: Path, rows: dict[str, np.ndarray], key: str, otherwise: np.ndarray) -> np.ndarray:
    x = rows.get(key, otherwise)
    if x.ndim != 1 or not np.isin(x, (0, 1)).all():
        raise DataError(f"{file}: key '{key}' must be one true or false a row; correct it.")
    return x.astype(bool)


def _state(file: Path, task, rows: dict[str, np.ndarray], n: int) -> np.ndarray | None:
    """The flat state, if the file holds it, or all its parts of a known task.

    Where the task is not named, it is the one whose parts are all there, most of them if several.
    """
    if task is None:
        whole = [x for x in TASKS.values() if all(name in rows for name, _ in x.parts)]
        fits = [x for x in whole if all(rows[k].reshape(n, -1).shape[1] == m for k, m in x.parts)]
        task = max(fits, key=lambda x: len(x.parts), default=None)
    if task is None or any(name not in rows for name, _ in task.parts):
        return rows[STATE].reshape(n, -1).astype(np.float32) if STATE in rows else None
    for name, size in task.parts:
        if rows[name].reshape(n, -1).shape[1] != size:
            raise DataError(
                f"{file}: key '{name}' has shape {rows[name].shape}, not {size} values a row; "
                f"is this another task than {task.domain}-{task.task}?"
            )
    flat = [rows[name].reshape(n, -1).astype(np.float32) for name, _ in task.parts]
    return np.concatenate(flat, axis=1)
