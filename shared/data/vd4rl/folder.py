"""What lies in a V-D4RL folder: its files, its digest, and what its path or record tells."""

import json
from pathlib import Path
from typing import Any

from shared.environments.control import TASKS
from shared.errors import DataError

SUITES = ("main", "distracting", "multitask")
RECORD = "collected.json"
"""Beside the episodes of a set that this project recorded: how it was made."""


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


def name_of(path: Path) -> str:
    """A readable name: what follows `main`, `distracting` or `multitask`, else the folder's."""
    parts = path.parts
    places = [i for i, part in enumerate(parts) if part in SUITES]
    return "-".join(parts[places[-1] :]) if places else path.stem


def environment_of(path: Path) -> str | None:
    """The task that a folder's path names, if it is of the benchmark's layout."""
    name = name_of(path)
    return next((task for task in TASKS if task in name), None)
