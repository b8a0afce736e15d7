"""What lies in a V-D4RL folder: its files, its digest, and what its path or record tells."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shared.data.checksum import verified_sha256
from shared.environments.control import TASKS
from shared.errors import DataError

SUITES = ("main", "distracting", "multitask")
RECORD = "collected.json"
"""Beside the episodes of a set that this project recorded: how it was made."""
_READERS = 4


def episode_files(path: Path) -> list[Path]:
    """The files of a folder in the order of their names; links out of it are refused.

    Raises:
        DataError: there are none, or both layouts are mixed.
    """
    if not path.exists():
        raise DataError(f"{path}: does not exist; name a data file or a folder of episodes.")
    if not path.is_dir():
        return [path]
    files = sorted(x for x in path.iterdir() if x.suffix in (".npz", ".hdf5", ".h5"))
    kinds = {x.suffix == ".npz" for x in files}
    if not files:
        raise DataError(
            f"{path}: holds no .npz or .hdf5 files; name a file, or the folder with the episodes."
        )
    if len(kinds) > 1:
        raise DataError(f"{path}: mixes .npz and .hdf5 files; keep one of the two layouts.")
    for file in files:
        require_inside(path, file)
    return files


def require_inside(folder: Path, file: Path) -> None:
    """Refuse a link that leads out of a data set."""
    if folder.resolve() not in file.resolve().parents:
        raise DataError(f"{file}: is a link out of the data set; copy the file itself.")


def read_record(folder: Path) -> dict[str, Any]:
    """How a collected set was made; empty for any other folder."""
    path = folder / RECORD
    if path.is_symlink() and folder.resolve() not in path.resolve().parents:
        raise DataError(f"{path}: is a link out of the data set; copy the file itself.")
    if not path.is_file() or path.stat().st_size > 1 << 20:
        return {}
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); record the set again.") from error
    return record if isinstance(record, dict) and record.get("source") == "collected" else {}


def digest_of(files: list[Path]) -> str:
    """SHA-256 over the names and SHA-256 of all files; a digest noted beside one must agree."""
    total = hashlib.sha256()
    with ThreadPoolExecutor(_READERS) as pool:
        for file, digest in zip(files, pool.map(verified_sha256, files), strict=True):
            total.update(f"{digest}  {file.name}\n".encode())
    return total.hexdigest()


def name_of(path: Path) -> str:
    """A readable name: what follows `main`, `distracting` or `multitask`, else the folder's."""
    parts = path.parts
    places = [i for i, part in enumerate(parts) if part in SUITES]
    return "-".join(parts[places[-1] :]) if places else path.stem


def environment_of(path: Path) -> str | None:
    """The task that a folder's path names, if it is of the benchmark's layout."""
    name = name_of(path)
    return next((task for task in TASKS if task in name), None)
