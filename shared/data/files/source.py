"""A data set of states in any accepted form, as one list of rows.

    an HDF5 file or an npz archive with D4RL's keys
    a folder of such files: shards or single episodes of one schema, in the order of names
    a Minari data set (`minari_reader`)
    an HDF5 file or npz archive that keeps its episodes apart (`layouts`)

V-D4RL's folders have a reader of their own (`vd4rl`); `form_of` tells them apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.data.catalog import Entry, entry_of_sha256
from shared.data.files.attributes import Attributes
from shared.data.files.folder import digest_of, episode_files
from shared.data.files.hdf5 import hdf5_keys, read_hdf5
from shared.data.files.layouts import WANTED, is_apart, read_apart
from shared.data.files.minari_reader import minari_place, read_minari
from shared.data.files.npz import comment_of, read_npz
from shared.data.files.signature import require_hdf5
from shared.data.recording.columns import (
    KEYS,
    REQUIRED,
    Columns,
    Fault,
    rough_columns,
    to_columns,
)
from shared.data.recording.flags import OTHER_ENDS
from shared.data.recording.units import OFFSET_KEY, RANGE_KEYS, far_offset, told_offset
from shared.data.recording.whole import to_columns as columns_of_episodes
from shared.errors import DataError
from shared.storage.checksum import read_note, verified_sha256
from shared.storage.memory import memory_limit

FORMS = ("d4rl", "npz", "minari", "vd4rl")
_WANTED = (*KEYS, *OTHER_ENDS, *RANGE_KEYS)
_OBSERVATIONS = ("observations", "next_observations")
_FRAME_KEYS = {"image", "is_first", "step_type"}
"""Any of these at the root of a file makes it V-D4RL's."""


class Source(NamedTuple):
    """A data set as far as it can be read.

    Attributes:
        sha256: digest of the file, or over the names and digests of a folder's files.
        known: the official data set that has this digest, if any.
        attributes: plain values that the file says of itself.
        keys: all keys of the file (of a folder: of its first file or episode).
        columns: all rows; None if a fault is an error.
        faults: of the form alone.
        rough: where `columns` is None, what can be looked at nevertheless.
    """

    sha256: str
    known: Entry | None
    attributes: Attributes
    keys: tuple[str, ...]
    columns: Columns | None
    faults: list[Fault]
    rough: Columns | None = None


@dataclass
class Shift:
    """May observations be shifted towards zero, and what is subtracted of all files alike."""

    wanted: bool
    offset: np.ndarray | None = None


def form_of(path: Path) -> str:
    """Which of `FORMS` a file or folder is of; a folder of HDF5 or npz files is of theirs.

    Raises:
        DataError: there is nothing, or nothing that could be data.
    """
    if path.is_dir() and minari_place(path) is not None:
        return "minari"
    file = episode_files(path)[0]
    keys = set(read_npz(file, ()).keys if is_zip(file) else hdf5_keys(file))
    if keys & _FRAME_KEYS and "observations" not in keys:
        return "vd4rl"
    return "npz" if is_zip(file) else "d4rl"


def is_zip(file: Path) -> bool:
    """Does the file begin as an npz archive does?"""
    try:
        if not file.is_file():  # opening a pipe would wait for its writer
            return False
        with open(file, "rb") as opened:
            return opened.read(4) == b"PK\x03\x04"
    except OSError:
        return False  # the reader says why


def read_source(path: Path, *, shift: bool = True) -> Source:
    """Read a data set of states.

    Arguments:
        path: file or folder.
        shift: columns of float64 that are too far from zero for float32 may be shifted; the
            attribute `observation_offset` then says by how much.

    Raises:
        DataError: it cannot be opened safely, or its parts do not belong together.
    """
    common = Shift(shift)
    if not path.is_dir():
        return _read_file(path, common)
    if minari_place(path) is not None:
        return _read_minari(path, shift)
    files = episode_files(path)
    parts, total = [], 0
    for file in files:
        parts.append(_read_file(file, common))
        common.wanted = common.offset is not None  # all files alike, as the first
        total += sum(x.nbytes for x in parts[-1].columns or () if x is not None)
        if total > memory_limit():
            raise DataError(
                f"{path}: its files hold more than the {memory_limit() / 2**30:.1f} GiB that may "
                "be read here; use fewer of them."
            )
    return _join(path, files, parts)


def _read_file(path: Path, shift: Shift) -> Source:
    zipped = is_zip(path)
    if not zipped:
        require_hdf5(path)
    digest = verified_sha256(path)
    known = entry_of_sha256(digest)
    vouched = known is not None or read_note(path) == digest
    arrays, attributes, keys, notes = (_npz if zipped else _hdf5)(path, vouched)
    attributes |= {key: arrays[key].ravel().tolist() for key in RANGE_KEYS if key in arrays}
    arrays = _shifted(arrays, attributes, shift)
    columns, faults = to_columns(arrays, keys)
    faults = [Fault("layout", "warning", note) for note in notes] + faults
    if shift.offset is not None:
        faults.append(Fault("far-from-zero", "warning", told_offset(shift.offset)))
    rough = rough_columns(arrays) if columns is None else None
    return Source(digest, known, attributes, keys, columns, faults, rough)


def _hdf5(path: Path, vouched: bool) -> tuple[dict, Attributes, tuple[str, ...], list[str]]:
    roots = hdf5_keys(path)
    if set(roots) & set(REQUIRED) or not is_apart(roots):
        return *read_hdf5(path, _WANTED, vouched=vouched), []
    found = read_hdf5(path, WANTED, vouched=vouched, many=True)
    whole = read_apart(str(path), found.arrays)
    if whole is None:
        return *read_hdf5(path, _WANTED, vouched=vouched), []
    return whole.arrays, found.attributes, whole.keys, whole.notes


def _npz(path: Path, vouched: bool) -> tuple[dict, Attributes, tuple[str, ...], list[str]]:
    keys = read_npz(path, ()).keys
    numbered = tuple(key for key in keys if WANTED.fullmatch(key))
    numbered = () if set(keys) & set(REQUIRED) else numbered
    found = read_npz(path, (*_WANTED, *numbered))
    attributes = comment_of(found)
    whole = read_apart(str(path), found.arrays) if numbered else None
    if whole is None:
        return found.arrays, attributes, found.keys, []
    return whole.arrays, attributes, whole.keys, whole.notes


def _shifted(arrays: dict, attributes: Attributes, shift: Shift) -> dict[str, np.ndarray]:
    """The arrays with observations that float32 can hold; `attributes` says what was subtracted."""
    observation = arrays.get("observations")
    if not shift.wanted or observation is None or observation.ndim != 2:
        return arrays
    if observation.dtype.kind != "f":
        return arrays
    offset = far_offset(observation) if shift.offset is None else shift.offset
    if offset is None or len(offset) != observation.shape[1]:
        return arrays
    shift.offset = offset
    before = attributes.get(OFFSET_KEY)
    attributes[OFFSET_KEY] = (offset + np.asarray(0.0 if before is None else before)).tolist()
    moved = (
        key for key in _OBSERVATIONS if key in arrays and arrays[key].shape[1:] == offset.shape
    )
    return arrays | {key: arrays[key].astype(np.float64) - offset for key in moved}


def _read_minari(path: Path, shift: bool) -> Source:
    found = read_minari(path, shift=shift)
    if found.episodes[0].state is None:
        raise DataError(f"{path}: holds no states, only pictures; add an observation of numbers.")
    columns, notes = columns_of_episodes(found.episodes)
    if found.episodes[0].image is not None:
        notes.append("the pictures are left out; training reads the state.")
    faults = [Fault("minari", "warning", sentence) for sentence in (*found.notes, *notes)]
    if len(columns.reward) < 2:
        faults.append(Fault("empty", "error", "there is only one step; record at least two."))
    return Source(found.sha256, None, found.attributes, found.keys, columns, faults)


def _join(path: Path, files: Sequence[Path], parts: Sequence[Source]) -> Source:
    """All rows of a folder's files; the last row of a file ends its episode."""
    faults = _told_once(files, [part.faults for part in parts])
    columns = None
    _require_one_unit(files, parts)
    if not any(fault.severity == "error" for fault in faults):
        found = [part.columns for part in parts if part.columns is not None]
        _require_one_schema(files, found)
        columns, unmarked = _concatenated(found)
        if unmarked:
            sentence = f"{unmarked} of {len(files)} files end without a flag; read as timeouts."
            faults.append(Fault("no-timeouts", "warning", sentence))
    return Source(digest_of(list(files)), None, _shared(parts), parts[0].keys, columns, faults)


def _told_once(files: Sequence[Path], faults: Sequence[list[Fault]]) -> list[Fault]:
    where: dict[Fault, list[str]] = {}
    for file, own in zip(files, faults, strict=True):
        for fault in own:
            where.setdefault(fault, []).append(file.name)
    found = []
    for fault, names in where.items():
        more = f" and {len(names) - 1} more files" if len(names) > 1 else ""
        found.append(fault._replace(sentence=f"{names[0]}{more}: {fault.sentence}"))
    return found


def _require_one_schema(files: Sequence[Path], parts: Sequence[Columns]) -> None:
    def schema(columns: Columns) -> dict[str, tuple[int, ...]]:
        return {k: x.shape[1:] for k, x in columns._asdict().items() if x is not None}

    first = schema(parts[0])
    for file, own in zip(files, map(schema, parts), strict=True):
        odd = [key for key in (first | own) if first.get(key) != own.get(key)]
        if odd:
            forms = [str(x[odd[0]]) if odd[0] in x else "absent" for x in (own, first)]
            raise DataError(
                f"{file}: '{odd[0]}' is {forms[0]} a row, but {forms[1]} in {files[0].name}; keep "
                "files of one schema in a folder."
            )


def _require_one_unit(files: Sequence[Path], parts: Sequence[Source]) -> None:
    for key in (*RANGE_KEYS, OFFSET_KEY):
        told = [part.attributes.get(key) for part in parts]
        if odd := next((i for i, x in enumerate(told) if x != told[0]), 0):
            raise DataError(
                f"{files[odd]}: '{key}' is {told[odd]}, but {told[0]} in {files[0].name}; keep "
                "files of one unit in a folder."
            )


def _concatenated(parts: Sequence[Columns]) -> tuple[Columns, int]:
    """All rows, and the number of files whose end had to be marked as a timeout."""
    by_column = zip(*parts, strict=True)
    joined = Columns(*(None if x[0] is None else np.concatenate(x) for x in by_column))
    if len(parts) == 1:
        return joined, 0
    ends = np.cumsum([len(x.reward) for x in parts]) - 1
    timeout = np.zeros(len(joined.reward), bool) if joined.timeout is None else joined.timeout
    unmarked = ends[~joined.terminal[ends] & ~timeout[ends]]
    timeout[unmarked] = True
    return joined._replace(timeout=timeout), len(unmarked)


def _shared(parts: Sequence[Source]) -> Attributes:
    """What all files say alike; a collected part makes the whole a collected set."""
    first = parts[0].attributes.items()
    same = {k: v for k, v in first if all(part.attributes.get(k) == v for part in parts)}
    if any(part.attributes.get("source") == "collected" for part in parts):
        same["source"] = "collected"
    return same
