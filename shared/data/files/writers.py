"""Writes data sets in the forms of `source`; equal contents give equal bytes."""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from shared.data.files.attributes import Attributes
from shared.data.recording.columns import KEYS, Columns

_CHUNK_BYTES = 1 << 18


def arrays_of(columns: Columns) -> dict[str, np.ndarray]:
    """The columns by D4RL's keys, without the absent ones."""
    return {k: x for k, x in zip(KEYS, columns, strict=True) if x is not None}


@contextlib.contextmanager
def hdf5_written(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, made in memory and written at the end.

    The library would go on to write what a full disk has refused, and end the process as it exits.

    Raises:
        OSError: the disk is full or the folder is not writable.
    """
    with h5py.File(str(path), "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        image = file.id.get_file_image()
    with open(path, "wb") as opened:
        opened.write(image)
        opened.flush()
        os.fsync(opened.fileno())


def write_d4rl(path: Path, data: dict[str, np.ndarray], attributes: dict) -> None:
    """Write beside `path` and rename; checksummed chunks, no times, so bytes repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with hdf5_written(temporary) as file:
            for key, value in attributes.items():
                file.attrs[key] = value
            for key, value in data.items():
                row_bytes = value.itemsize * int(np.prod(value.shape[1:]))
                chunk = min(len(value), max(1, _CHUNK_BYTES // row_bytes))
                file.create_dataset(
                    key,
                    data=value,
                    chunks=(chunk, *value.shape[1:]),
                    fletcher32=True,  # a flipped bit becomes a read error
                    track_times=False,
                )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fixed_strings(record: Attributes) -> dict:
    """Attributes with strings of fixed length, which are safe to read (see `attributes`)."""
    pairs = ((k, np.bytes_(v.encode()) if isinstance(v, str) else v) for k, v in record.items())
    return {k: v for k, v in pairs if v != b""}


def write_npz(path: Path, columns: Columns, record: Attributes) -> None:
    """An archive with D4RL's keys; its comment is the record as JSON."""
    write_archive(path, [arrays_of(columns)], json.dumps(record))


def write_archive(path: Path, episodes: list[dict[str, np.ndarray]], comment: str) -> None:
    """A compressed npz; zip members carry no time of their own, so bytes repeat."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for key, value in episodes[0].items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)
        archive.comment = comment.encode()[:65535]
