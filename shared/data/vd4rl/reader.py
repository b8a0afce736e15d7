"""Reads V-D4RL's two layouts, and sets that this project recorded in them.

A folder holds either episode archives (`.npz`, 64 px) or shards of many episodes
(`.hdf5`, 84 px), see `rows`.  A row holds the action that *led to* its frame
(`frames.from_leading`).  Episodes of 500 and 501 rows lie in one folder; an episode of
T rows has T - 1 actions.  The
`main`, `distracting` and `multitask` folders differ in what is drawn, not in form.

Format: V-D4RL (Lu et al., 2022), its appendix B and its reference loaders.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.catalog import lookup_own, recorded_entry
from shared.data.files.attributes import Attributes
from shared.data.files.folder import digest_of, episode_files
from shared.data.files.npz import read_npz
from shared.data.recording.units import (
    OFFSET_KEY,
    PLAIN,
    RANGE_KEYS,
    Options,
    Range,
    chosen_range,
    offset_noted,
    to_unit,
)
from shared.data.vd4rl.checks import check_folder, check_frames
from shared.data.vd4rl.folder import environment_of, name_of, read_record
from shared.data.vd4rl.rows import Rows, has_frames, read_frames, read_rows
from shared.datasets.frame_data import FrameData
from shared.datasets.frame_store import unpacked
from shared.datasets.frames import Frames, from_leading
from shared.environments.control import TASKS, control_task
from shared.errors import DataError
from shared.storage.memory import memory_limit

_READERS = 4


def read_vd4rl(
    path: str | Path,
    *,
    name: str | None = None,
    images: bool = True,
    official: bool = False,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    options: Options = PLAIN,
) -> FrameData:
    """All episodes of a folder (or of one file), in the order of their names.

    Arguments:
        path: folder with `.npz` or `.hdf5` files, or one of them.
        name: data set (or task) that the folder is meant to be.
        images: False reads the rest only, without unpacking a frame; so does a folder that
            holds states alone.
        official: the folder lies where the catalog's own copy belongs.
        cache: folder of unpacked frames to use and to fill; without one they are kept in
            memory.
        progress: called with (frames read, frames in total).
        options: what the user says of it.

    Raises:
        DataError: no such files, or one of them is broken, hostile or of another form.
    """
    path = Path(path)
    files = episode_files(path)
    record = read_record(path if path.is_dir() else path.parent)
    told = recorded_entry(str(record.get("dataset", "")))
    entry = lookup_own(name) if name is not None else told
    environment = entry.environment.name if entry is not None else environment_of(path)
    task = None
    if environment in TASKS or (environment or "").startswith("dm_control/"):
        task = control_task(str(environment))
    _require_memory(path, files)
    digest = digest_of(files)
    with ThreadPoolExecutor(_READERS) as pool:  # inflating leaves the interpreter free
        rows = list(pool.map(lambda file: read_rows(file, task), files))
        frames = _join(files, rows)
        if images and has_frames(files[0]):
            lengths = [len(x.reward) for x in rows]
            shape = (sum(lengths), *read_frames(files[0], lengths[0]).shape[1:])
            fill = partial(_unpack, pool, files, lengths, progress)
            where = None if cache is None else cache / f"{digest[:24]}.npy"
            frames = frames._replace(image=unpacked(shape, where, fill))
    about = {**record, **_units(files[0])}
    frames, bounds = _in_unit(frames, about, options, str(path))
    warnings = check_folder(path, files, rows, entry, declared=bounds is not None)
    if frames.image is not None:
        warnings += check_frames(path, frames.image)
    if told is not None and entry is not None and told != entry:
        warnings.append(f"{path.name}: is '{told.name}', but it is used as '{entry.name}'.")
    states = 0 if frames.state is None else frames.state.shape[1]
    return FrameData(
        name=entry.name if entry is not None else name_of(path),
        path=path,
        sha256=digest,
        source="collected" if record else "official" if official else "yours",
        frames=frames,
        environment=environment,
        attributes=about,
        episode_returns=frames.episode_returns,
        episode_lengths=frames.episode_lengths,
        episode_finished=np.ones(len(frames.episode_lengths), bool),
        warnings=tuple(warnings),
        action_range=bounds,
        observation_offset=offset_noted(about, states) if states else None,
    )


def _units(file: Path) -> Attributes:
    """What an archive that was converted says of its numbers."""
    if file.suffix != ".npz":
        return {}
    told = read_npz(file, ()).attributes
    return {key: told[key] for key in (*RANGE_KEYS, OFFSET_KEY) if key in told}


def _in_unit(
    frames: Frames, about: Attributes, options: Options, where: str
) -> tuple[Frames, Range | None]:
    """The actions in [-1, 1], zero where there is none, and the range they come from."""
    bounds, action = None, frames.action
    if options.action_range is not None or {*RANGE_KEYS} & {*about}:
        bounds = chosen_range(options, about, action.shape[1], where)
    if bounds is not None:
        action = np.where(frames.acted[:, None], to_unit(action, bounds), np.float32(0))
    return frames._replace(action=np.clip(action, -1, 1)), bounds  # clipped as simulators do


def _require_memory(path: Path, files: list[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    if size > memory_limit():
        raise DataError(
            f"{path}: its files hold {size / 2**30:.1f} GiB packed, more than the "
            f"{memory_limit() / 2**30:.1f} GiB that may be read here; use fewer episodes."
        )


def _unpack(pool, files: list[Path], lengths: list[int], progress, image: np.ndarray) -> None:
    """Fill `image` with the frames of all files; a few files are inflated at a time."""
    starts = np.concatenate([[0], np.cumsum(lengths)])

    def fill(i: int) -> int:
        mine = read_frames(files[i], lengths[i])
        if mine.shape[1:] != image.shape[1:]:
            raise DataError(
                f"{files[i]}: frames are {mine.shape[1:]}, but {image.shape[1:]} in "
                f"{files[0].name}; keep files of one form in a folder."
            )
        image[starts[i] : starts[i + 1]] = mine
        return i

    for i in pool.map(fill, range(len(files))):
        if progress is not None:
            progress(int(starts[i + 1]), len(image))


def _join(files: list[Path], rows: list[Rows]) -> Frames:
    """The rows of all files behind one another, without images."""
    for file, x in zip(files, rows, strict=True):
        for key in ("state", "action"):
            mine, first = getattr(x, key), getattr(rows[0], key)
            forms = [None if a is None else a.shape[1:] for a in (mine, first)]
            if forms[0] != forms[1]:
                raise DataError(
                    f"{file}: '{key}' is {forms[0]} a row, but {forms[1]} in {files[0].name}; keep "
                    "files of one form in a folder."
                )

    def join(key: str) -> np.ndarray | None:
        parts = [getattr(x, key) for x in rows]
        return None if parts[0] is None else np.concatenate(parts)

    columns: list[Any] = [join(key) for key in Rows._fields[:-1]]
    return from_leading(None, *columns)
