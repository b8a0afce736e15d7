"""Stand-ins for data that are out of reach: recorded here, once, and never called official."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from shared.data.catalog import Entry, lookup
from shared.environments.open_tasks import task_part
from shared.errors import DataError
from shared.loading.places import collected_path, pixel_folder
from shared.loading.request import Progress
from shared.storage.checksum import sha256_of, write_note
from shared.storage.locks import exclusive


def collect(
    name: str,
    rows: int,
    *,
    seed: int = 0,
    data_dir: Path,
    out: Path | None = None,
    workers: int = 1,
    behavior: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The collected set, recorded now unless it exists; concurrent processes record once.

    Arguments:
        name: data set.
        rows: transitions to record.
        seed: of the recording.
        data_dir: root of the cache.
        out: write here and not into the cache.
        workers: processes.
        behavior: file of one's own policies; None is this package's, or the cache's.
        force: record again even if the file exists.
        progress: called with ("collect", rows done, rows in total).

    Raises:
        DataError: no such set, no behaviour policy for it, or the disk refuses.
    """
    path = collected_path(name, rows, seed, data_dir) if out is None else out
    if path.exists() and not force:
        return path
    from shared.behavior.record import record

    weights = behavior_weights(name, behavior, data_dir)
    tell = told(progress, "collect") or _silent
    try:
        with exclusive(path):
            if force or not path.exists():
                part = path.with_name(f"{path.name}.part")
                made_by = {"workers": workers, "weights": weights}
                own = lookup(name).recording
                record(own, rows, seed=seed, path=part, **made_by, progress=tell)
                write_note(part, sha256_of(part), name=path.name)
                os.replace(part, path)
    except OSError as error:
        raise _not_written(path, error) from error
    return path


def collect_pixels(
    name: str,
    frames: int,
    *,
    seed: int = 0,
    data_dir: Path,
    out: Path | None = None,
    size: int = 64,
    render: str = "fast",
    workers: int = 1,
    behavior: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """The recorded folder, whatever of it is missing being recorded now, by one process at a time.

    Raises:
        DataError: no such set, no behaviour policy for it, or the disk refuses.
    """
    from shared.behavior.pixels import record_pixels

    entry = pixel_entry(name)
    folder = pixel_folder(entry.name, frames, seed, data_dir, size=size, render=render)
    folder = folder if out is None else out
    drawn = {"size": size, "render": render, "workers": workers, "progress": told(progress, "draw")}
    drawn["weights"] = behavior_weights(entry.name, behavior, data_dir)
    try:
        with exclusive(folder):
            return record_pixels(entry.name, frames, seed=seed, folder=folder, **drawn)
    except OSError as error:
        raise _not_written(folder, error) from error


def pixel_entry(name: str) -> Entry:
    """The entry of a data set that has frames.

    Raises:
        DataError: it has none.
    """
    entry = lookup(name)
    if entry.suite != "vd4rl" and not entry.is_recorded:
        raise DataError(f"data set '{entry.name}' has no frames; choose one of V-D4RL's.")
    return entry


def behavior_weights(name: str, own: Path | None, data_dir: Path) -> Path | None:
    """The file of policies that record a data set: a given one, or the cache's of an open task."""
    from shared.behavior.policies import weights_name

    task = task_part(name)
    return own if own is not None or task is None else data_dir / "behavior" / weights_name(task)


def told(progress: Progress | None, kind: str) -> Callable[[int, int], None] | None:
    """`progress` of one kind of work."""
    return None if progress is None else partial(progress, kind)


def _silent(done: int, total: int) -> None:
    """Nobody listens."""


def _not_written(path: Path, error: OSError) -> DataError:
    cause = error.strerror or str(error)
    return DataError(
        f"{path}: cannot be written ({cause}); free some space or set another --data-dir."
    )
