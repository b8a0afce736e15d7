"""The one road from a `DataRequest` to a `Dataset`.

    resolve      a file or folder of your own, used as it is and alone;
                 else the official one, from the cache
    fetch        or downloaded (V-D4RL's folders by `data fetch` only),
    record       else a set recorded from the real simulator with behaviour policies of this
                 project: source "collected", never called D4RL or V-D4RL
    read, check  rows (`shared.data.reader`) or V-D4RL's frames (`shared.data.vd4rl.reader`)

The choice is never silent: `Dataset.source` is "official", "collected" or "yours", and
`Dataset.note` says in one line what was used and why.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from shared.data.catalog import Entry, lookup, lookup_own, official_entry
from shared.data.files.source import ROBOT, form_of
from shared.data.reader import read_states
from shared.data.recording.units import Options
from shared.data.vd4rl.reader import read_vd4rl
from shared.data.vd4rl.states import states_of
from shared.datasets.dataset import Dataset
from shared.environments.simulators import can_draw, has_simulator
from shared.errors import Advice, ConfigError, DataError
from shared.loading.fetch import Unreachable, fetch_unless_recent
from shared.loading.places import (
    collected_path,
    folder_advice,
    official_path,
    pixel_folder,
    recorded_rows,
)
from shared.loading.request import DataRequest, Progress
from shared.loading.stand_ins import collect, collect_pixels, pixel_entry, told


class Found(NamedTuple):
    """What is to be read: a place, what it is meant to be, and why it was chosen.

    Attributes:
        frames: is it of V-D4RL's form?
    """

    path: Path
    name: str | None
    frames: bool = False
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
    path, name, frames, official, note = resolve(request, progress, workers)
    options = Options(request.action_range, request.cut_jumps)
    pixels = request.observation == "pixels"
    if pixels and form_of(path) == ROBOT:
        raise ConfigError(
            f"{path}: pictures of a robot's recording are unpacked first: name the camera as "
            "'image' in a YAML, and train on what 'data convert YAML frames --to vd4rl' writes."
        )
    if pixels and (form := form_of(path)) in ("d4rl", "npz"):
        raise ConfigError(f"{path}: holds states alone ({form}); leave out --observation pixels.")
    about = {"name": name, "official": official, "options": options}
    if frames or pixels:
        tell, cache = told(progress, "load"), request.root / "frames"
        data = read_vd4rl(path, images=pixels, cache=cache, progress=tell, **about)
        if pixels and data.frames.image is None:
            raise DataError(f"{path}: holds states alone; leave out --observation pixels.")
        data = data if pixels else states_of(data)
    else:
        data = read_states(path, **about)
    if request.source is not None:
        _require_source(request, data)
    if data.environment is None or not has_simulator(data.environment):
        named = data.environment
        what = f"'{named}' has no simulator" if named else "the task is not named"
        note = f"{what}, so policies are trained but not scored"
    return replace(data, note=note)


def resolve(request: DataRequest, progress: Progress | None, workers: int) -> Found:
    """The file or folder to read: one's own, else the official one, else a stand-in."""
    if request.path is not None:
        return _own(request)
    if request.name is None:
        raise ConfigError("name a data set with --env (see 'data list'), or your own with --data.")
    entry = pixel_entry(request.name) if request.observation == "pixels" else lookup(request.name)
    if entry.is_recorded:
        return _stand_in(request, entry, progress, workers, None)
    if not entry.is_ours:
        return _added(request, entry, progress)
    reason = None
    if request.source != "collected":
        insist, place = request.source == "d4rl", official_path(entry, request.root, request.size)
        if place.exists():
            return Found(place, entry.name, entry.suite == "vd4rl", official=True)
        if entry.suite == "vd4rl" and insist:
            raise DataError(folder_advice(entry, place))
        try:
            if entry.suite != "vd4rl":
                place = fetch_unless_recent(entry, request.root, insist, progress)
                return Found(place, entry.name, official=True)
        except Unreachable as error:
            if insist:
                raise
            reason = str(error)
    return _stand_in(request, entry, progress, workers, reason)


def _own(request: DataRequest) -> Found:
    """The user's own; a folder of official files stands for the one in it."""
    path, official = Path(request.path or ""), request.known_source == "official"
    if request.name is None:
        return Found(path, None, form_of(path) == "vd4rl", official)
    entry = lookup_own(request.name)
    task = entry.environment
    if request.observation == "pixels" and task.simulator and not can_draw(task):
        raise ConfigError(
            f"what scores '{task.name}' shows no frames; leave out --observation pixels, or --env."
        )
    if path.is_dir() and entry.file:
        names = (official_path(entry, path), path / entry.file, path / Path(entry.file).name)
        found = [name for name in names if name.is_file()]
        others = [x for x in path.iterdir() if official_entry(x.name) is not None]
        if others and not found:
            raise DataError(f"{path}: holds no {names[-1].name}; name a folder with it, or a file.")
        path = found[0] if found else path
    return Found(path, entry.name, form_of(path) == "vd4rl", official)


def _added(request: DataRequest, entry: Entry, progress: Progress | None) -> Found:
    """The data set of another package: on this machine, or downloaded."""
    if request.source == "d4rl":
        raise DataError(f"data set '{entry.name}' is not D4RL's; leave out --source d4rl.")
    path = official_path(entry, request.root)
    if not path.exists():
        path = fetch_unless_recent(entry, request.root, True, progress)
    return Found(path, entry.name, form_of(path) == "vd4rl")


def _require_source(request: DataRequest, data: Dataset) -> None:
    """Refuse data of a source that `request` forbids."""
    known = None if request.name is None else lookup_own(request.name)
    benchmark = "V-D4RL" if request.observation == "pixels" else "D4RL"
    benchmark = known.benchmark if known is not None and known.suite == "ogbench" else benchmark
    if request.source == "d4rl" and data.source == "collected":
        raise DataError(
            f"{data.path}: is a collected set, not {benchmark}; leave out --source d4rl."
        )
    if request.source == "d4rl" and data.source == "yours":
        raise DataError(
            f"{data.path}: is a file of your own, not {benchmark}'s; leave out --source d4rl."
        )
    if request.source == "collected" and data.source != "collected":
        raise DataError(f"{data.path}: is not a collected set; leave out --source collected.")


def _tell_of_smaller(name: str, rows: int, there: list[int]) -> None:
    """Before so many rows are recorded: whoever recorded fewer a minute ago may want those."""
    if smaller := [n for n in there if n < rows] if rows not in there else []:
        few = smaller[-1]
        told = f"{name}: {rows:,} rows are recorded now, though {few:,} were before"
        warnings.warn(Advice(f"{told}; --set rows={few} takes those."), stacklevel=3)


def _stand_in(
    request: DataRequest,
    entry: Entry,
    progress: Progress | None,
    workers: int,
    reason: str | None,
) -> Found:
    """The stand-in, recorded now unless it is there; `reason` is why it is needed."""
    rows = entry.rows if request.rows is None else min(request.rows, entry.rows)
    how = {"data_dir": request.root, "workers": workers, "progress": progress}
    if request.observation == "pixels":
        drawn = {"size": request.size, "render": request.render}
        there = recorded_rows(pixel_folder(entry.name, 0, 0, request.root, **drawn))
        how |= drawn
        _tell_of_smaller(entry.name, rows, there)
        path = collect_pixels(entry.name, rows, **how)
        note = f"using the collected stand-in {path.name}, drawn {request.render}, not V-D4RL"
        return Found(path, entry.name, frames=True, note=note)
    there = recorded_rows(collected_path(entry.name, 0, 0, request.root))
    if request.rows is None:  # the largest that is there, before one is recorded
        rows = max((n for n in there if n <= entry.rows), default=rows)
    _tell_of_smaller(entry.name, rows, there)
    try:
        path = collect(entry.name, rows, **how)
    except DataError as error:
        if reason is None:
            raise
        why = str(error).rstrip(".")
        raise DataError(f"{reason.rstrip('.')}; no stand-in can be recorded ({why}).") from error
    why = "official file out of reach; " if reason else ""
    again = f"; 'data fetch {entry.name}' tries again" if reason else ""
    stand_in = f"{path.name} ({rows:,} rows), not {entry.benchmark}"
    note = f"{why}using the collected stand-in {stand_in}{again}"
    return Found(path, entry.name, note=note)
