"""Reads the root attributes of an HDF5 file that nobody has to trust.

Strings of variable length lie in a heap of the file, and a damaged heap can send
the HDF5 library into an endless loop: a few among thousands of randomly mutated
files did, and nothing else in them hung or crashed it.  So, unless the file's
digest vouches for it, those strings are read by a child process with a time limit.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared.data.files.signature import AGAIN
from shared.data.recording.units import OFFSET_KEY, RANGE_KEYS
from shared.errors import DataError

MAXIMUM_ATTRIBUTES, MAXIMUM_BYTES, MAXIMUM_NUMBERS = 256, 1 << 16, 1024
LISTS = (*RANGE_KEYS, OFFSET_KEY)
"""Attributes that hold a number for each motor or column."""
CHILD_SECONDS, WALL_SECONDS = 2, 60.0
"""Processor time of the reading alone, where the system can limit it; and of everything."""
_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from shared.data.files.attributes import tell_attributes
tell_attributes(sys.argv[2], int(sys.argv[3]))
"""

Attributes = dict[str, Any]
"""Name -> a string, a number, or a short list of numbers."""


def read_attributes(path: Path, file: h5py.File, *, vouched: bool) -> Attributes:
    """The root's small, plain attributes; anything else is left out, not trusted.

    Arguments:
        path: of the file.
        file: open at `path`.
        vouched: the file has a digest that somebody noted.

    Raises:
        DataError: the attributes crash or hang the HDF5 library.
    """
    if vouched or not any(_is_heap_string(file, name) for name in _names(file)):
        return _plain(file)
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", _CHILD, root, str(path), str(CHILD_SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=WALL_SECONDS, check=True)
        return json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        late = isinstance(error, subprocess.TimeoutExpired)
        late = late or getattr(error, "returncode", 0) == -getattr(signal, "SIGXCPU", 24)
        reason = "damaged (reading them does not end)" if late else "damaged"
        raise DataError(f"{path}: its attributes are {reason}; {AGAIN}.") from error


def tell_attributes(path: str, seconds: int) -> None:
    """Print a file's attributes as JSON; what the child process runs."""
    with contextlib.suppress(ImportError):  # not on every system
        import resource

        limit = int(time.process_time()) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    with h5py.File(path, "r", locking=False) as file:
        print(json.dumps(_plain(file)))


def plain_attributes(record: dict) -> Attributes:
    """The small, plain values of a mapping that was read from JSON; the rest is left out."""
    plain = {str(k): v for k, v in record.items() if isinstance(v, str | int | float | bool)}
    plain |= {str(k): v for k, v in record.items() if k in LISTS and _are_numbers(v)}
    return {k: v for k, v in plain.items() if len(str(v)) <= MAXIMUM_BYTES}


def _are_numbers(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAXIMUM_NUMBERS:
        return False
    return all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)


def _names(file: h5py.File) -> list[str]:
    return list(map(str, file.attrs))[:MAXIMUM_ATTRIBUTES]


def _is_heap_string(file: h5py.File, name: str) -> bool:
    kind = h5py.h5a.open(file.id, name.encode()).get_type()
    return isinstance(kind, h5py.h5t.TypeStringID) and bool(kind.is_variable_str())


def _plain(file: h5py.File) -> Attributes:
    found: Attributes = {}
    for name in _names(file):
        attribute = h5py.h5a.open(file.id, name.encode())
        space = attribute.get_space()
        scalar = space.get_simple_extent_type() == h5py.h5s.SCALAR
        few = name in LISTS and space.get_simple_extent_ndims() == 1
        few = few and space.get_simple_extent_npoints() <= MAXIMUM_NUMBERS
        if not (scalar or few):
            continue
        if attribute.get_storage_size() > MAXIMUM_BYTES:
            continue
        kind = attribute.get_type()
        numeric = isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID)
        if not (numeric or isinstance(kind, h5py.h5t.TypeStringID | h5py.h5t.TypeEnumID)):
            continue
        if not scalar and not numeric:
            continue
        value = file.attrs[name]
        if not scalar:
            found[name] = np.asarray(value).tolist()
            continue
        value = value.item() if isinstance(value, np.generic) else value
        value = value.decode(errors="replace") if isinstance(value, bytes) else value
        if isinstance(value, str | int | float | bool):
            found[name] = value
    return found
