"""From a V-D4RL name to its frames: your folder, the official one, or the stand-in.

1. a folder (or file) of your own is used as it is;
2. else the official folder, if it lies in the cache, where `data fetch` brings it;
3. else a set that this project records: source "collected", never called V-D4RL.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from shared.data.catalog import Entry, lookup
from shared.data.vd4rl.pixel_data import PixelData
from shared.data.vd4rl.reader import read_vd4rl
from shared.errors import ConfigError, DataError
from shared.storage.locks import exclusive

MIRROR = "https://huggingface.co/datasets/conglu/vd4rl"
Progress = Callable[[str, int, int | None], None]


def official_folder(entry: Entry, data_dir: Path, size: int = 64) -> Path:
    """Where the official folder of a data set belongs in the cache."""
    return data_dir / "official" / Path(entry.file).parent / f"{size}px"


def pixel_folder(
    name: str, frames: int, seed: int, data_dir: Path, *, size: int = 64, render: str = "fast"
) -> Path:
    """Where recorded frames live in the cache."""
    return data_dir / "collected" / f"{name}-{frames}-seed{seed}-{size}px-{render}"


def load_pixels(
    name: str,
    *,
    data: str | Path | None = None,
    source: str | None = None,
    data_dir: Path,
    frames: int | None = None,
    size: int = 64,
    render: str = "fast",
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    trusted_source: str | None = None,
) -> PixelData:
    """The frames of the data set `name`, read and checked.

    Arguments:
        name: e.g. `walker_walk-medium_expert`.
        data: a folder or file of your own; tried alone.
        source: "d4rl" (the official one) or "collected" forbids the other.
        data_dir: root of the cache.
        frames: frames to record for a collected set, at most (and by default) the official
            number.
        size: width and height of the frames, 64 or 84.
        render: how a collected set is drawn, "fast" or "faithful".
        seed: of the recording.
        workers: processes of the recording.
        progress: called with ("draw" or "load", frames done, frames in total).
        trusted_source: the source that a run noted for the very folder in `data`.

    Raises:
        DataError: unknown name, no folder within reach, or files that are refused.
        ConfigError: contradictory arguments.
    """
    entry = _pixel_entry(name)
    if source not in (None, "d4rl", "collected"):
        raise ConfigError(f"source '{source}' does not exist; choose 'd4rl' or 'collected'.")

    def load(path: Path, *, official: bool = False) -> PixelData:
        tell = _told(progress, "load")
        cache = data_dir / "frames"
        return read_vd4rl(path, name=entry.name, official=official, cache=cache, progress=tell)

    if data is not None:
        return _agreeing(load(Path(data), official=trusted_source == "official"), source)
    folder = official_folder(entry, data_dir, size)
    if source != "collected" and folder.is_dir():
        return load(folder, official=True)
    if source == "d4rl":
        raise DataError(advice(entry, folder))
    frames = entry.rows if frames is None else min(frames, entry.rows)
    folder = collect_pixels(
        entry.name,
        frames,
        seed=seed,
        data_dir=data_dir,
        size=size,
        render=render,
        workers=workers,
        progress=progress,
    )
    found = load(folder)
    note = f"using the collected stand-in {folder.name}, drawn {render}, not V-D4RL"
    return replace(found, note=note)


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
    progress: Progress | None = None,
) -> Path:
    """The recorded folder, whatever of it is missing being recorded now, by one process at a time.

    Raises:
        DataError: no such set, no behaviour policy for it, or the disk refuses.
    """
    from shared.behavior.pixels import record_pixels

    entry = _pixel_entry(name)
    folder = pixel_folder(entry.name, frames, seed, data_dir, size=size, render=render)
    folder = folder if out is None else out
    tell = _told(progress, "draw")
    try:
        with exclusive(folder):
            return record_pixels(
                entry.name,
                frames,
                seed=seed,
                folder=folder,
                size=size,
                render=render,
                workers=workers,
                progress=tell,
            )
    except OSError as error:
        cause = error.strerror or str(error)
        raise DataError(
            f"{folder}: cannot be written ({cause}); free some space or set another --data-dir."
        ) from error


def advice(entry: Entry, folder: Path) -> str:
    """What to do to have the official folder."""
    return (
        f"the official V-D4RL folder of '{entry.name}' is not at {folder}; run 'data fetch "
        f"{entry.name}', or get {Path(entry.file).parent} from {MIRROR} and put it there, or name "
        "your copy with --data."
    )


def _told(progress: Progress | None, kind: str) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, kind)


def _pixel_entry(name: str) -> Entry:
    entry = lookup(name)
    if entry.suite != "vd4rl":
        raise DataError(f"data set '{entry.name}' has no frames; choose one of V-D4RL's.")
    return entry


def _agreeing(found: PixelData, source: str | None) -> PixelData:
    if source == "d4rl" and found.source == "collected":
        raise DataError(f"{found.path}: is a collected set, not V-D4RL; leave out --source d4rl.")
    if source == "collected" and found.source != "collected":
        raise DataError(f"{found.path}: is not a collected set; leave out --source collected.")
    return found
