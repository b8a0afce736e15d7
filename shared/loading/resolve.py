"""The one road from a `DataRequest` to a `Dataset`.

    resolve      a file or folder of your own, used as it is and alone;
                 else the official one, from the cache
    fetch        or downloaded (V-D4RL's folders by `data fetch` only),
    record       else a set recorded from the real simulator with behaviour policies of this
                 project: source "collected", never called D4RL or V-D4RL
    read, check  one reader of every form (`shared.data.reader`)

The choice is never silent: `Dataset.source` is "official", "collected" or "yours", and
`Dataset.note` says in one line what was used and why.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from shared.data.catalog import Entry, lookup, lookup_own, official_entry
from shared.data.reader import read_dataset
from shared.data.recording.units import Options
from shared.datasets.dataset import Dataset
from shared.environments.simulators import has_simulator
from shared.errors import ConfigError, DataError
from shared.loading.fetch import Unreachable, fetch_unless_recent
from shared.loading.places import folder_advice, official_folder, official_path
from shared.loading.request import DataRequest, Progress
from shared.loading.stand_ins import collect, collect_pixels, pixel_entry, told


class Found(NamedTuple):
    """What is to be read: a place, what it is meant to be, and why it was chosen."""

    path: Path
    name: str | None
    official: bool = False
    note: str = ""


def load(request: DataRequest, progress: Progress | None, workers: int) -> Dataset:
    """The data, read and validated; as of `DataRequest.load`."""
    if request.source not in (None, "d4rl", "collected"):
        raise ConfigError(
            f"source '{request.source}' does not exist; choose 'd4rl' or 'collected'."
        )
    if request.observation is None:
        request = replace(request, observation=request.default_observation())
    found = resolve(request, progress, workers)
    data = read_dataset(
        found.path,
        name=found.name,
        observation=request.observation,
        official=found.official,
        options=Options(request.action_range, request.cut_jumps),
        cache=request.root / "frames",
        progress=told(progress, "load"),
    )
    return _noted(request, data, found.note)


def resolve(request: DataRequest, progress: Progress | None, workers: int) -> Found:
    """The file or folder to read: one's own, else the official one, else a stand-in."""
    if request.path is not None:
        name, path = _own(request)
        return Found(path, name, request.known_source == "official")
    if request.name is None:
        raise ConfigError("name a data set with --env (see 'data list'), or your own with --data.")
    entry = pixel_entry(request.name) if request.observation == "pixels" else lookup(request.name)
    if not entry.is_ours:
        return Found(_added(request, entry, progress), entry.name)
    try:
        if request.source != "collected" and (path := _official(request, entry, progress)):
            return Found(path, entry.name, official=True)
    except Unreachable as error:
        if request.source == "d4rl":
            raise
        return _stand_in(request, entry, progress, workers, reason=str(error))
    return _stand_in(request, entry, progress, workers)


def _own(request: DataRequest) -> tuple[str | None, Path]:
    """Name and place of the user's own; a folder of official files stands for the one in it."""
    path = Path(request.path or "")
    if request.name is None:
        return None, path
    entry = lookup_own(request.name)
    if request.observation == "pixels" and entry.environment.simulator:
        pixel_entry(request.name)  # what scores it must show frames
    if path.is_dir() and entry.file:
        names = (official_path(entry, path), path / entry.file, path / Path(entry.file).name)
        found = [name for name in names if name.is_file()]
        others = [x for x in path.iterdir() if official_entry(x.name) is not None]
        if others and not found:
            raise DataError(f"{path}: holds no {names[-1].name}; name a folder with it, or a file.")
        path = found[0] if found else path
    return entry.name, path


def _added(request: DataRequest, entry: Entry, progress: Progress | None) -> Path:
    """The data set of another package: on this machine, or downloaded."""
    if request.source == "d4rl":
        raise DataError(f"data set '{entry.name}' is not D4RL's; leave out --source d4rl.")
    path = official_path(entry, request.root)
    return path if path.exists() else fetch_unless_recent(entry, request.root, True, progress)


def _official(request: DataRequest, entry: Entry, progress: Progress | None) -> Path | None:
    """The official file or folder; None where a folder would have to be fetched first."""
    if entry.suite != "vd4rl":
        return fetch_unless_recent(entry, request.root, request.source == "d4rl", progress)
    folder = official_folder(entry, request.root, request.size)
    if not folder.is_dir() and request.source == "d4rl":
        raise DataError(folder_advice(entry, folder))
    return folder if folder.is_dir() else None


def _stand_in(
    request: DataRequest,
    entry: Entry,
    progress: Progress | None,
    workers: int,
    reason: str | None = None,
) -> Found:
    """The stand-in, recorded now unless it is there; `reason` is why it is needed."""
    rows = entry.rows if request.rows is None else min(request.rows, entry.rows)
    how = {"data_dir": request.root, "workers": workers, "progress": progress}
    if request.observation == "pixels":
        how |= {"size": request.size, "render": request.render}
        path = collect_pixels(entry.name, rows, **how)
        note = f"using the collected stand-in {path.name}, drawn {request.render}, not V-D4RL"
        return Found(path, entry.name, note=note)
    try:
        path = collect(entry.name, rows, **how)
    except DataError as error:
        if reason is None:
            raise
        why = str(error).rstrip(".")
        raise DataError(f"{reason.rstrip('.')}; no stand-in can be recorded ({why}).") from error
    why = "official file out of reach; " if reason else ""
    again = f"; 'data fetch {entry.name}' tries again" if reason else ""
    note = f"{why}using the collected stand-in {path.name} ({rows:,} rows), not D4RL{again}"
    return Found(path, entry.name, note=note)


def _noted(request: DataRequest, data: Dataset, note: str) -> Dataset:
    """The same, with a word on the choice and if nothing scores it; unless `source` forbids."""
    benchmark = "D4RL" if data.pixels is None else "V-D4RL"
    if request.source == "d4rl" and data.source == "collected":
        raise DataError(
            f"{data.path}: is a collected set, not {benchmark}; leave out --source d4rl."
        )
    if request.source == "collected" and data.source != "collected":
        raise DataError(f"{data.path}: is not a collected set; leave out --source collected.")
    if not has_simulator(data.environment):
        named = data.environment
        what = f"'{named}' has no simulator" if named else "the task is not named"
        note = f"{what}, so policies are trained but not scored"
    return replace(data, note=note)
