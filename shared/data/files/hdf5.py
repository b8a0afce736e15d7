"""Reads arrays from HDF5 files that nobody has to trust.

A data file may come from anywhere, so nothing in it is followed or allocated
before it is checked:

- only a regular file with HDF5's signature is opened, read-only;
- a soft, external or user-defined link anywhere in the file, external storage
  and virtual data sets refuse the whole file: they can name other files;
- only plain numbers are read, never objects, strings or compounds;
- only gzip, lzf, shuffle and fletcher32 filters are run, never a plug-in;
- the declared size must be possible for the bytes that are stored, and fit
  into memory, before anything of that size is allocated.

Every refusal is a `DataError` of one sentence with file, key, reason and mend.
"""

import contextlib
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from shared.data.files.attributes import Attributes, read_attributes
from shared.data.files.signature import AGAIN, require_hdf5
from shared.errors import DataError, printable
from shared.storage.memory import memory_limit

MAXIMUM_EXPANSION = 1100
"""Deflate cannot expand a byte to more than 1032; the rest is slack for small chunks."""
MAXIMUM_DEPTH, MAXIMUM_OBJECTS = 8, 2000
OBJECT_BYTES = 256
"""Fewer than any group or data set takes in a file, so that hard links cannot multiply them."""
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, 32000)
# What h5py is known to raise on a damaged file; anything else is a fault of ours.
_H5PY_ERRORS = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    SystemError,
)


class HDF5Contents(NamedTuple):
    """What was read: the wanted arrays that exist, plain root attributes, all keys."""

    arrays: dict[str, np.ndarray]
    attributes: Attributes
    keys: tuple[str, ...]


def read_hdf5(
    path: str | Path,
    wanted: tuple[str, ...] | re.Pattern[str],
    *,
    vouched: bool = False,
    many: bool | tuple[str, ...] = False,
) -> HDF5Contents:
    """The numeric arrays `wanted` of an untrusted HDF5 file.

    Arguments:
        path: the file.
        wanted: keys such as `"actions"` or `"infos/qpos"`, absent ones are left out; or a
            pattern that whole keys match.
        vouched: the file's bytes match a digest that was noted for them.
        many: the file may hold as many objects as its bytes have room for (Minari: several
            an episode), not `MAXIMUM_OBJECTS`; or it may if none of these keys is at its root.

    Raises:
        DataError: see the top of this page.
    """
    path = Path(path)
    require_hdf5(path)
    with _as_data_error(path), h5py.File(path, "r", locking=False) as file:
        size = path.stat().st_size
        if isinstance(many, tuple):
            many = not {*many} & {*map(str, itertools.islice(file, MAXIMUM_OBJECTS))}
        limit = max(MAXIMUM_OBJECTS, size // OBJECT_BYTES) if many else MAXIMUM_OBJECTS
        keys, found = [], {}
        # Open data sets hold caches, so none is kept open while the others are looked at.
        for key, item in _walk(path, file, limit):
            keys.append(key)
            if wanted.fullmatch(key) if isinstance(wanted, re.Pattern) else key in wanted:
                found[key] = _checked_bytes(path, key, item, size)
        declared = sum(found.values())
        if declared > memory_limit():
            raise DataError(
                f"{path}: {_listed(found)} declare {declared / 2**30:.1f} GiB, more than the "
                f"{memory_limit() / 2**30:.1f} GiB that may be read here; use fewer rows."
            )
        order = found if isinstance(wanted, re.Pattern) else filter(found.__contains__, wanted)
        arrays = {key: _read(path, key, file[key]) for key in order}
        attributes = read_attributes(path, file, vouched=vouched)
        return HDF5Contents(arrays, attributes, tuple(keys))


def hdf5_keys(path: str | Path) -> tuple[str, ...]:
    """The keys at the root of an untrusted HDF5 file; nothing is read or followed.

    Raises:
        DataError: it is no HDF5 file, or a damaged one.
    """
    path = Path(path)
    require_hdf5(path)
    with _as_data_error(path), h5py.File(path, "r", locking=False) as file:
        return tuple(map(str, itertools.islice(file, MAXIMUM_OBJECTS)))


def _listed(keys: Iterable[str]) -> str:
    first = list(itertools.islice(keys, 9))
    return ", ".join(map(printable, first[:8])) + (", ..." if len(first) > 8 else "")


@contextlib.contextmanager
def _as_data_error(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except _H5PY_ERRORS as error:
        raise DataError(
            f"{path}: is truncated or damaged HDF5 ({_first_line(error)}); {AGAIN}."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error.args[0] if error.args else error).splitlines()
    return printable(lines[0])[:160] if lines else type(error).__name__


def _walk(
    path: Path,
    group: h5py.Group,
    limit: int,
    prefix: str = "",
    depth: int = 0,
    count: list[int] | None = None,
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every data set below `group`; refuses links that leave it and endless nesting."""
    count = [0] if count is None else count
    for name in map(str, group):
        key = prefix + name
        count[0] += 1
        if depth > MAXIMUM_DEPTH or count[0] > limit:
            raise DataError(
                f"{path}: holds more than {limit} objects or {MAXIMUM_DEPTH} levels of "
                "groups; keep only the D4RL keys in the file."
            )
        kind = group.get(name, getclass=True, getlink=True)
        if kind is not h5py.HardLink:
            words = {h5py.SoftLink: "a soft", h5py.ExternalLink: "an external"}
            raise DataError(
                f"{path}: key '{printable(key)}' is {words.get(kind, 'a foreign')} link, which is "
                "never followed; copy the data itself into the file."
            )
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _walk(path, item, limit, key + "/", depth + 1, count)
        elif isinstance(item, h5py.Dataset):
            _refuse_foreign_storage(path, key, item)
            yield key, item


def _refuse_foreign_storage(path: Path, key: str, dataset: h5py.Dataset) -> None:
    where = "external storage" if dataset.external else "a virtual data set"
    if dataset.external or dataset.is_virtual:
        raise DataError(
            f"{path}: key '{printable(key)}' is {where}, which names other files and is never "
            "followed; copy the data itself into the file."
        )


def _checked_bytes(path: Path, key: str, dataset: h5py.Dataset, file_bytes: int) -> int:
    """The declared bytes of a data set, after checking that it can really hold them."""
    what = f"{path}: key '{printable(key)}'"
    if dataset.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {dataset.dtype}, not numbers; store a plain float32 array.")
    if dataset.shape is None:
        raise DataError(f"{what} has no shape; store a plain float32 array.")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if unknown := [code for code in filters if code not in _FILTERS]:
        raise DataError(f"{what} uses HDF5 filter {unknown[0]}, which is not run; save with gzip.")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunks, allocated = 1, declared
    if dataset.chunks is not None:
        chunks = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
        allocated = chunks * math.prod(dataset.chunks) * dataset.dtype.itemsize
    expansion = MAXIMUM_EXPANSION if filters else 1
    possible = chunks <= file_bytes and allocated <= MAXIMUM_EXPANSION * file_bytes
    stored = dataset.id.get_storage_size() if possible else 0
    if declared and (not possible or stored > file_bytes or allocated > expansion * stored):
        raise DataError(
            f"{what} declares {declared:,} bytes ({dataset.shape}) but stores {stored:,}, so it is "
            f"not what it claims; write every row of it, or {AGAIN}."
        )
    if declared and dataset.chunks is not None and dataset.id.get_num_chunks() != chunks:
        raise DataError(f"{what} lacks some of its {chunks} chunks; write every row of it.")
    return allocated


def _read(path: Path, key: str, dataset: h5py.Dataset) -> np.ndarray:
    try:
        return np.asarray(dataset[()])
    except _H5PY_ERRORS as error:
        raise DataError(
            f"{path}: key '{printable(key)}' is damaged ({_first_line(error)}); {AGAIN}."
        ) from error
