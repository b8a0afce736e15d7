"""Reads arrays from npz archives that nobody has to trust.

An npz is a zip of npy files.  Before anything is allocated or unpacked:

- only a regular file that is a zip is opened, and nothing is written anywhere;
- a member name with a folder, a drive or `..` in it refuses the archive;
- only stored or deflated, unencrypted members are read;
- what a member declares must fit its compressed bytes and this machine's memory;
- an npy header must declare plain numbers (never objects: no pickle is ever run)
  and exactly the bytes that follow it.

zip's own checksums catch flipped bits.  Every refusal is a `DataError` of one
sentence with file, key, reason and mend.
"""

import json
import math
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.data.files.attributes import Attributes, plain_attributes
from shared.data.files.hdf5 import MAXIMUM_EXPANSION
from shared.data.files.signature import AGAIN
from shared.errors import DataError, printable
from shared.storage.memory import memory_limit

MAXIMUM_MEMBERS = 256
_HEADER_BYTES = 10_000
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][A-Za-z]\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), ?\} *\n"
)
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    LookupError,
    OverflowError,
    MemoryError,
)


class NpzContents(NamedTuple):
    """The wanted arrays that exist, what the archive says of itself, and all keys.

    It says so in its comment, as JSON, which may be anything.
    """

    arrays: dict[str, np.ndarray]
    attributes: Attributes
    keys: tuple[str, ...]


def read_npz(path: str | Path, wanted: tuple[str, ...] | re.Pattern[str]) -> NpzContents:
    """The numeric arrays `wanted` of an untrusted npz archive; absent ones are left out.

    `wanted` are keys, or a pattern that whole keys match.

    Raises:
        DataError: see the top of this page.
    """
    path = Path(path)
    _require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            if isinstance(wanted, re.Pattern):
                wanted = tuple(filter(wanted.fullmatch, members))
            found = {key: members[key] for key in wanted if key in members}
            _require_memory(path, found)
            arrays = {key: _read(path, archive, key, x) for key, x in found.items()}
            comment = archive.comment.decode("utf-8", "replace")
            return NpzContents(arrays, _record(comment), tuple(members))
    except DataError:
        raise
    except _ZIP_ERRORS as error:
        reason = printable(str(error) or type(error).__name__, 160)
        raise DataError(f"{path}: is a truncated or damaged npz ({reason}); {AGAIN}.") from error


def _record(comment: str) -> Attributes:
    try:
        record = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    return plain_attributes(record) if isinstance(record, dict) else {}


def _require_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: is not a regular file; name an npz archive.")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: is not an npz archive (no zip in it); {AGAIN}.")


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAXIMUM_MEMBERS:
        raise DataError(
            f"{path}: holds {len(infos)} members, more than {MAXIMUM_MEMBERS}; keep one episode's "
            "arrays in it."
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        what = f"{path}: key '{printable(info.filename)}'"
        key = info.filename.removesuffix(".npy")
        if not key or any(x in info.filename for x in ("/", "\\", ":", "\0")) or key == "..":
            raise DataError(f"{what} is a path out of the archive; give arrays plain names.")
        if key in members:
            raise DataError(f"{what} occurs twice; keep one of the two.")
        if info.flag_bits & 1:
            raise DataError(f"{what} is encrypted; save the array without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{what} has zip method {info.compress_type}; use savez_compressed.")
        if info.file_size > MAXIMUM_EXPANSION * max(info.compress_size, 1):
            raise DataError(
                f"{what} declares {info.file_size:,} bytes in {info.compress_size:,} compressed "
                f"ones, so it is not what it claims; {AGAIN}."
            )
        members[key] = info
    return members


def _require_memory(path: Path, found: dict[str, zipfile.ZipInfo]) -> None:
    declared = sum(info.file_size for info in found.values())
    if declared > memory_limit():
        raise DataError(
            f"{path}: {', '.join(found)} declare {declared / 2**30:.1f} GiB, more than the "
            f"{memory_limit() / 2**30:.1f} GiB that may be read here; save shorter episodes."
        )


def _read(path: Path, archive: zipfile.ZipFile, key: str, info: zipfile.ZipInfo) -> np.ndarray:
    what = f"{path}: key '{printable(key)}'"
    with archive.open(info) as file:
        head = file.read(min(info.file_size, _HEADER_BYTES + 12))
        shape, fortran, dtype, start = _header(what, head)
        size = math.prod(shape) * dtype.itemsize
        if start + size != info.file_size:
            raise DataError(
                f"{what} declares {size:,} bytes ({shape} of {dtype}) but stores "
                f"{info.file_size - start:,}; {AGAIN}."
            )
        # The declared size is bounded above; the checksum is compared at the member's end.
        data = bytearray(info.file_size)
        data[: len(head)] = head
        filled = len(head)
        while block := file.read(1 << 20):
            data[filled : filled + len(block)] = block
            filled += len(block)
    if filled != info.file_size or len(data) != info.file_size:
        raise DataError(f"{what} ends early, after {filled:,} bytes; {AGAIN}.")
    flat = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(what: str, head: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order, type and start of the numbers, from what `numpy.save` writes in front.

    The header is a Python literal.  NumPy evaluates it, which lets more errors through than it
    names, and fails now and then where several threads of Python 3.11 do so at once.
    """
    width = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(head[:8], 0)
    start = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    found = _HEADER.fullmatch(head[8 + width : start]) if width and start <= len(head) else None
    if found is None:
        raise DataError(f"{what} is not an npy array of plain numbers; save it with numpy.savez.")
    descr, fortran, numbers = (x.decode() for x in found.groups())
    if descr == "|O":
        raise DataError(f"{what} holds Python objects, which are never unpickled; save numbers.")
    if descr[1] not in "biuf" or descr[2:] not in ("1", "2", "4", "8"):
        raise DataError(f"{what} holds '{descr}', not numbers; save a plain array.")
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise DataError(f"{what} holds '{descr}', not numbers; save a plain array.") from error
    shape = tuple(int(n) for n in numbers.split(",") if n.strip())
    if len(shape) > 32:
        raise DataError(f"{what} has {len(shape)} axes; save a plain array.")
    return shape, fortran == "True", dtype, start
