"""One HDF5 file or npz archive of rows, or of episodes apart, as D4RL's rows."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.data.catalog import Entry, entry_of_sha256
from shared.data.files import ogbench
from shared.data.files.attributes import Attributes
from shared.data.files.hdf5 import read_hdf5
from shared.data.files.layouts import APART, read_apart
from shared.data.files.npz import NpzContents, read_npz
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
from shared.storage.checksum import verified_sha256

_WANTED = re.compile("|".join((*KEYS, *OTHER_ENDS, *RANGE_KEYS, APART.pattern)))
_OBSERVATIONS = ("observations", "next_observations")


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


def is_zip(file: Path) -> bool:
    """Does the file begin as an npz archive does?"""
    try:
        if not file.is_file():  # opening a pipe would wait for its writer
            return False
        with open(file, "rb") as opened:
            return opened.read(4) == b"PK\x03\x04"
    except OSError:
        return False  # the reader says why


def read_file(path: Path, shift: Shift, used_as: str | None = None) -> Source:
    """Read one file.

    Arguments:
        path: the file.
        shift: see there.
        used_as: data set or task that it is used as; OGBench's files need to know.

    Raises:
        DataError: it cannot be opened safely.
    """
    if is_zip(path):
        digest, noted = verified_sha256(path)
        known = entry_of_sha256(digest)
        arrays, attributes, keys = _read_zip(path, used_as)
    else:
        require_hdf5(path)
        digest, noted = verified_sha256(path)
        known = entry_of_sha256(digest)
        vouched = noted or known is not None
        arrays, attributes, keys = read_hdf5(path, _WANTED, vouched=vouched, many=REQUIRED)
    faults = []
    if not {*keys} & {*REQUIRED} and (whole := read_apart(str(path), arrays)) is not None:
        arrays, keys, notes = whole
        faults = [Fault("layout", "warning", note) for note in notes]
    attributes |= {key: arrays[key].ravel().tolist() for key in RANGE_KEYS if key in arrays}
    if shift.wanted and np.result_type(arrays.get("observations", np.float32)) == np.float64:
        arrays = _shifted(arrays, attributes, shift)
    columns, more = to_columns(arrays, keys)
    faults += more
    if shift.offset is not None:
        faults.append(Fault("far-from-zero", "warning", told_offset(shift.offset)))
    rough = rough_columns(arrays) if columns is None else None
    return Source(digest, known, attributes, keys, columns, faults, rough)


def _read_zip(path: Path, used_as: str | None) -> NpzContents:
    if not ogbench.has_layout(read_npz(path, ()).keys):
        return read_npz(path, _WANTED)
    arrays, attributes, keys = read_npz(path, ogbench.WANTED)
    task = ogbench.task_of(path, attributes, used_as)
    told = {} if task is None else {ogbench.TASK: str(task)}
    return NpzContents(ogbench.to_rows(str(path), arrays, task), attributes | told, keys)


def _shifted(arrays: dict, attributes: Attributes, shift: Shift) -> dict[str, np.ndarray]:
    """The arrays with observations that float32 can hold; `attributes` says what was subtracted."""
    observation = arrays["observations"]
    if observation.ndim != 2:
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
    with np.errstate(over="ignore", invalid="ignore"):
        return arrays | {key: arrays[key].astype(np.float64) - offset for key in moved}
