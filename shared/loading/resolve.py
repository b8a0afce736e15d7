"""From a data set's name to data: the user's file, the official one, or the stand-in.

    1. `--data` is used as it is: a file or folder of any form of `sources`, a V-D4RL folder,
       or a folder that holds the official file.  Without a name it may be of any robot.
    2. Else the official D4RL file, from the cache or downloaded (V-D4RL: the official
       folder, if it is in the cache).
    3. Else a set that this project records from the real simulator with its own
       behaviour policies: source "collected", never called D4RL.

The choice is never silent: `OfflineData.source` is "official", "collected" or
"yours", and `OfflineData.note` says in one line what was used and why.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shared.data.catalog import Entry, lookup, lookup_own, official_entry
from shared.data.d4rl import OfflineData, read_d4rl
from shared.data.sources import form_of
from shared.data.vd4rl.reader import read_vd4rl
from shared.environments.simulators import has_simulator
from shared.errors import ConfigError, DataError
from shared.loading.fetch import Unreachable, fetch, is_offline, official_path
from shared.loading.pixels import advice, official_folder
from shared.storage.checksum import sha256_of, write_note
from shared.storage.locks import exclusive

RETRY_SECONDS = 600.0
"""After a failed download the mirrors are left alone for this long."""
Progress = Callable[[str, int, int | None], None]
"""Called with ("download" or "collect", units done, units in total)."""


def default_data_dir() -> Path:
    """`LATENT_POLICIES_DATA`, or `~/.cache/latent-policies`."""
    return Path(os.environ.get("LATENT_POLICIES_DATA") or "~/.cache/latent-policies").expanduser()


def load_data(
    name: str | None,
    *,
    data: str | Path | None = None,
    source: str | None = None,
    data_dir: str | Path | None = None,
    rows: int | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    trusted_source: str | None = None,
) -> OfflineData:
    """The data set `name`, read and validated.

    Arguments:
        name: data set, e.g. `hopper-medium`; with `data` also a task, e.g. `hopper`, or None
            for a robot that has no name here: then nothing scores policies.
        data: a file or folder of your own (or one with the official file); tried alone.
        source: "d4rl" or "collected" forbids the other; None takes what can be had.
        data_dir: root of the cache; None is `default_data_dir()`.
        rows: rows to record for a collected set, at most (and by default) the official
            number.
        seed: of the recording.
        workers: processes of the recording.
        progress: called during downloads and recordings.
        trusted_source: the source that a run noted for the very file in `data`; a
            resumed run compares the file's digest, so the label stays true.

    Raises:
        DataError: unknown name, nothing within reach, or a file that is refused.
        ConfigError: contradictory arguments.
    """
    if source not in (None, "d4rl", "collected"):
        raise ConfigError(f"source '{source}' does not exist; choose 'd4rl' or 'collected'.")
    root = default_data_dir() if data_dir is None else Path(data_dir)
    if data is not None:
        own = None if name is None else lookup_own(name)
        official = trusted_source == "official"
        return _unscored(_given(own, Path(data), source, official=official))
    if name is None:
        raise ConfigError("name a data set with --env (see 'data list'), or your own with --data.")
    entry = lookup(name)
    if not entry.is_ours:
        return _unscored(_added(entry, root, source, progress))
    reason = None
    if entry.suite == "vd4rl":
        folder = official_folder(entry, root)
        if source != "collected" and folder.is_dir():
            return read_vd4rl(folder, name=entry.name, images=False, official=True).states()
        if source == "d4rl":
            raise DataError(advice(entry, folder))
    elif source != "collected":
        try:
            path = _official(entry, root, source, progress)
            return read_d4rl(path, name=entry.name, official=True)
        except Unreachable as error:
            if source == "d4rl":
                raise
            reason = str(error)
    rows = entry.rows if rows is None else min(rows, entry.rows)
    try:
        path = collect(
            entry.name, rows, seed=seed, data_dir=root, workers=workers, progress=progress
        )
    except DataError as error:
        if reason is None:
            raise
        told = str(error).rstrip(".")
        raise DataError(f"{reason.rstrip('.')}; no stand-in can be recorded ({told}).") from error
    why = "official file out of reach; " if reason else ""
    again = f"; 'data fetch {entry.name}' tries again" if reason else ""
    note = f"{why}using the collected stand-in {path.name} ({rows:,} rows), not D4RL{again}"
    return replace(read_d4rl(path, name=entry.name), note=note)


def collected_path(name: str, rows: int, seed: int, data_dir: Path) -> Path:
    """Where a recorded set lives in the cache."""
    return data_dir / "collected" / f"{name}-{rows}-seed{seed}.hdf5"


def collect(
    name: str,
    rows: int,
    *,
    seed: int = 0,
    data_dir: Path,
    out: Path | None = None,
    workers: int = 1,
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
        force: record again even if the file exists.
        progress: called with ("collect", rows done, rows in total).

    Raises:
        DataError: no such set, no behaviour policy for it, or the disk refuses.
    """
    path = collected_path(name, rows, seed, data_dir) if out is None else out
    if path.exists() and not force:
        return path
    from shared.behavior.record import record

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress("collect", done, total)

    try:
        with exclusive(path):
            if force or not path.exists():
                part = path.with_name(f"{path.name}.part")
                record(name, rows, seed=seed, path=part, workers=workers, progress=tell)
                write_note(part, sha256_of(part), name=path.name)
                os.replace(part, path)
    except OSError as error:
        cause = error.strerror or str(error)
        raise DataError(
            f"{path}: cannot be written ({cause}); free some space or set another --data-dir."
        ) from error
    return path


def _given(entry: Entry | None, data: Path, source: str | None, *, official: bool) -> OfflineData:
    """The user's own file or folder; a folder of official files stands for the one in it."""
    name = None if entry is None else entry.name
    if data.is_dir() and entry is not None and entry.file:
        names = (official_path(entry, data), data / entry.file, data / Path(entry.file).name)
        found = [path for path in names if path.is_file()]
        others = [path for path in data.iterdir() if official_entry(path.name) is not None]
        if others and not found:
            raise DataError(f"{data}: holds no {names[-1].name}; name a folder with it, or a file.")
        data = found[0] if found else data
    if form_of(data) == "vd4rl":
        found = read_vd4rl(data, name=name, images=False, official=official).states()
        return _agreeing(found, data, source)
    return _agreeing(read_d4rl(data, name=name, official=official), data, source)


def _added(entry: Entry, root: Path, source: str | None, progress: Progress | None) -> OfflineData:
    """The data set of another package: on this machine, or downloaded."""
    if source == "d4rl":
        raise DataError(f"data set '{entry.name}' is not D4RL's; leave out --source d4rl.")
    path = official_path(entry, root)
    if not path.exists():
        path = _official(entry, root, "d4rl", progress)
    return _given(replace(entry, file=""), path, source, official=False)


def _unscored(data: OfflineData) -> OfflineData:
    """The same, with a word if nothing can score policies that are trained on it."""
    if has_simulator(data.environment):
        return data
    what = f"'{data.environment}' has no simulator" if data.environment else "the task is not named"
    return replace(data, note=f"{what}, so policies are trained but not scored")


def _agreeing(result: OfflineData, data: Path, source: str | None) -> OfflineData:
    """The data, unless `source` forbids it."""
    if source == "d4rl" and result.source == "collected":
        raise DataError(f"{data}: is a collected set, not D4RL; leave out --source d4rl.")
    if source == "collected" and result.source != "collected":
        raise DataError(f"{data}: is not a collected set; leave out --source collected.")
    return result


def _official(entry: Entry, root: Path, source: str | None, progress: Progress | None) -> Path:
    """The official file; a recent failure is remembered unless D4RL is demanded."""
    path = official_path(entry, root)
    stamp = path.with_name(path.name + ".unreachable")
    if not path.exists() and source != "d4rl" and _is_recent(stamp):
        raise Unreachable(stamp.read_text())

    def tell(done: int, total: int | None) -> None:
        if progress is not None:
            progress("download", done, total)

    try:
        fetch(entry, root, progress=tell)
    except Unreachable as error:
        if not is_offline():
            with contextlib.suppress(OSError):  # a read-only cache only loses the memory
                stamp.write_text(str(error))
        raise
    return path


def _is_recent(stamp: Path) -> bool:
    try:
        return abs(time.time() - stamp.stat().st_mtime) < RETRY_SECONDS
    except OSError:
        return False
