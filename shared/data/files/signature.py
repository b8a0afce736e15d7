"""Is this a readable HDF5 file at all?  And if not, what is it?"""

import os
import stat
from pathlib import Path

import h5py

from shared.errors import DataError

AGAIN = "fetch or copy the file again"
_ROWS = (
    "write its columns to HDF5 as 'observations' (what is seen before acting), 'actions', "
    "'rewards', 'terminals' and 'timeouts' (the last row of every episode), see docs/your-data.md"
)


def require_hdf5(path: Path) -> None:
    """Refuse what is not a regular, non-empty, readable HDF5 file, and say what it is."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: is not a regular file; name an HDF5 file.")
        if status.st_size == 0:
            raise DataError(f"{path}: is empty (0 bytes); {AGAIN}.")
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); check the path.") from error
    if not h5py.is_hdf5(os.fspath(path)):
        raise DataError(f"{path}: is not an HDF5 file{_guess(head)}.")


_NAMED = "write a small YAML that names its columns, see docs/your-data.md"


def _guess(head: bytes) -> str:
    """What a file that is not HDF5 seems to be, with the mend."""
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f" but a web page, probably a server's error; {AGAIN}"
    if text.startswith(b"version https://git-lfs"):
        return " but a Git LFS pointer; fetch the real file with 'git lfs pull'"
    if head.startswith(b"PK\x03\x04"):
        return " but a zip or npz archive; write its arrays to HDF5 first"
    if head.startswith(b"PAR1"):
        return f" but a Parquet table; {_NAMED}"
    kinds = {b"SQLite format 3": "a SQLite database or ROS 2 bag"}
    kinds |= {b"#ROSBAG": "a ROS bag", b"\x89MCAP": "an MCAP log"}
    for signature, kind in kinds.items():
        if head.startswith(signature):
            return f" but {kind}; {_ROWS}"
    if (columns := _text_columns(head)) > 1:
        return f" but a table of text with {columns} columns; {_NAMED}"
    if head.startswith(b"\x80") or head.startswith(b"\x93NUMPY"):
        return " but a pickle or npy file, which is not read; write its arrays to HDF5 first"
    return f" (its signature is missing); {AGAIN}"


def _text_columns(head: bytes) -> int:
    """How many columns the first line of a table of text has; 0 if it is none."""
    line = head.split(b"\n")[0].strip()
    if not line or not head.replace(b"\r", b"").replace(b"\n", b"").replace(b"\t", b"").isascii():
        return 0
    text = line.decode("ascii")
    return (
        max(len(text.split(mark)) for mark in (",", ";", "\t"))
        if text.replace("\t", " ").isprintable()
        else 0
    )
