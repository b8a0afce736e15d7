"""SHA-256 of data files, and the `<file>.sha256` note beside a file in the cache.

A flipped bit in an uncompressed HDF5 file reads without complaint, so the
digest is written when a file enters the cache and compared whenever it is
read.  The note has the format of `sha256sum`, and one written by that program
is honoured too.
"""

import hashlib
import os
import re
from pathlib import Path

from shared.errors import DataError


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); check the path.") from error


def note_path(path: Path) -> Path:
    """Where the digest of `path` is noted."""
    return path.with_name(path.name + ".sha256")


def write_note(path: Path, digest: str, *, name: str | None = None) -> None:
    """Note `digest` beside `path`; `name` is the file's final name if it still moves."""
    target = note_path(path.with_name(name or path.name))
    temporary = target.with_name(f"{target.name}.{os.getpid()}.partial")
    temporary.write_text(f"{digest}  {name or path.name}\n")
    os.replace(temporary, target)


def read_note(path: Path) -> str | None:
    """The noted digest of `path`, or None without a (readable) note beside it or its target."""
    note = note_path(path)
    if note.is_symlink() and note.resolve().parent not in (
        path.parent.resolve(),
        path.resolve().parent,
    ):
        return None
    try:
        text = note.read_bytes()[:200].decode("ascii", "replace")
    except OSError:
        return None
    match = re.match(r"([0-9a-fA-F]{64})\b", text)
    return match[1].lower() if match else None


def verified_sha256(path: Path) -> tuple[str, bool]:
    """SHA-256 of `path`, and whether it is noted beside the file.

    Raises:
        DataError: it differs from the one noted beside the file.
    """
    digest, noted = sha256_of(path), read_note(path)
    if noted is not None and noted != digest:
        raise DataError(
            f"{path}: has changed since its SHA-256 was noted in {note_path(path).name} (now "
            f"{digest[:12]}..., then {noted[:12]}...); delete both files and get the data again."
        )
    return digest, noted is not None
