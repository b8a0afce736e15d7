"""Files that survive a kill, a power cut or a full disk, or are not written at all.

The pattern is always the same: write beside the target, flush to the device,
then rename.  A reader sees the old file or the new one, never half of either.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import RunError


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries (new and renamed files) to the device."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file and every folder below `folder` to the device."""
    for place, _, files in os.walk(folder, topdown=False):
        for file in files:
            with open(Path(place, file), "rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(Path(place))


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8); any failure leaves the old file as it was.

    Raises:
        OSError: the disk is full or the folder is not writable.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def disk_errors(failure: str, mend: str) -> Iterator[None]:
    """Turn what the operating system refuses into one sentence for the user.

    TensorStore, which writes the arrays under Orbax, hides the system's error
    number inside the text of a `ValueError`; both kinds are recognised.

    Raises:
        RunError: "`failure`: reason of the system; `mend`."
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{failure}: {error.strerror or error}; {mend}.") from error
    except Exception as error:
        found = re.search(r"os_error_code='(\d+)'", str(error))
        if found is None:
            raise
        raise RunError(f"{failure}: {os.strerror(int(found[1]))}; {mend}.") from error


def plain(value: Any) -> Any:
    """The same value made of dicts, lists, strings and Python numbers only."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic) or (hasattr(value, "dtype") and hasattr(value, "tolist")):
        return value.tolist()
    return value
