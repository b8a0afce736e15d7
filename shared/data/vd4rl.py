"""Reads V-D4RL's two layouts, and sets that this project recorded in them.

A folder holds either episode archives (`.npz`, 64 px) or shards of many episodes
(`.hdf5`, 84 px), see `vd4rl_rows`.  A row holds the action that *led to* its frame
(`frames.from_leading`).  Episodes of 500 and 501 rows lie in one folder; an episode of
T rows has T - 1 actions.  The
`main`, `distracting` and `multitask` folders differ in what is drawn, not in form.

Format: V-D4RL (Lu et al., 2022), its appendix B and its reference loaders.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.attributes import Attributes
from shared.data.catalog import datasets, environments, lookup_own
from shared.data.columns import Columns
from shared.data.d4rl import OfflineData
from shared.data.frame_store import unpacked
from shared.data.frames import Frames, from_leading, to_transitions
from shared.data.memory import memory_limit
from shared.data.validate import find_faults
from shared.data.vd4rl_checks import check_folder, check_frames
from shared.data.vd4rl_folder import (
    digest_of,
    environment_of,
    episode_files,
    name_of,
    read_record,
)
from shared.data.vd4rl_rows import STATE_PARTS, Rows, has_frames, read_frames, read_rows
from shared.environments.control import TASKS
from shared.errors import DataError
from shared.types import Transition

_READERS = 4


@dataclass(frozen=True)
class PixelData:
    """Frames of a V-D4RL folder in memory, and where they come from.

    Attributes:
        name: data set, e.g. `walker_walk-medium_expert`, or the folders' names.
        path: the folder, or one file.
        sha256: digest over the names and digests of all files.
        source: "official", "collected" or "yours".
        frames: the canonical form.
        environment: task that scores it; None if not known.
        attributes: what the record of a collected set says (empty otherwise).
        warnings: sentences that training tells once.
    """

    name: str
    path: Path
    sha256: str
    source: str
    frames: Frames
    environment: str | None
    attributes: Attributes
    warnings: tuple[str, ...] = ()

    def states(self) -> OfflineData:
        """The state variant, as any other data set of transitions.

        Raises:
            DataError: the files hold no states, or states with a fault (`validate`).
        """
        if self.frames.state is None:
            raise DataError(
                f"{self.path}: holds no states (none of {', '.join(STATE_PARTS[:4])}, ...), only "
                "pixels; record a set with states, or train from pixels."
            )
        transitions, episode = to_transitions(self.frames)
        told = self._state_warnings(transitions, episode)
        return OfflineData(
            name=self.name,
            path=self.path,
            sha256=self.sha256,
            source=self.source,
            transitions=transitions,
            episode=episode,
            episode_returns=self.frames.episode_returns,
            episode_lengths=self.frames.episode_lengths,
            episode_finished=np.ones(len(self.frames.episode_lengths), bool),
            environment=self.environment,
            attributes=self.attributes,
            warnings=(*self.warnings, *told),
        )

    def _state_warnings(self, transitions: Transition, episode: np.ndarray) -> list[str]:
        """The faults of the states, as of any other file."""
        observation, action, reward, terminal, following = transitions
        last = np.append(episode[1:] != episode[:-1], True)
        columns = Columns(observation, action, reward, terminal, last & ~terminal, following)
        known = environments().get(self.environment or "")
        faults = find_faults(columns, known)
        for fault in faults:
            if fault.severity == "error":
                raise DataError(f"{self.path}: in the states, {fault.sentence}")
        return [f"{self.path.name}: in the states, {fault.sentence}" for fault in faults]


def read_vd4rl(
    path: str | Path,
    *,
    name: str | None = None,
    images: bool = True,
    official: bool = False,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PixelData:
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

    Raises:
        DataError: no such files, or one of them is broken, hostile or of another form.
    """
    path = Path(path)
    files = episode_files(path)
    record = read_record(path if path.is_dir() else path.parent)
    told = datasets().get(str(record.get("dataset", "")))
    entry = lookup_own(name) if name is not None else told
    environment = entry.environment.name if entry is not None else environment_of(path)
    task = TASKS.get(environment or "")
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
    warnings = check_folder(path, files, rows, entry)
    if frames.image is not None:
        warnings += check_frames(path, frames.image)
    if told is not None and entry is not None and told != entry:
        warnings.append(f"{path.name}: is '{told.name}', but it is used as '{entry.name}'.")
    return PixelData(
        name=entry.name if entry is not None else name_of(path),
        path=path,
        sha256=digest,
        source="collected" if record else "official" if official else "yours",
        frames=frames,
        environment=environment,
        attributes=record,
        warnings=tuple(warnings),
    )


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
    frames = from_leading(None, *columns)
    return frames._replace(action=np.clip(frames.action, -1, 1))  # as the simulator does
