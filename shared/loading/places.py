"""Where the data of a name lie in the cache.

official/<path on the server>                       what was downloaded
collected/<name>-<rows>-seed<seed>.hdf5             recorded states (of OGBench `.npz`)
collected/<name>-<rows>-seed<seed>-<size>px-<render>/   recorded frames
frames/                                             frames of either, unpacked
behavior/<task>.npz                                 behaviour policies that were trained here
"""

import os
from pathlib import Path

from shared.data.catalog import Entry, lookup

MIRROR = "https://huggingface.co/datasets/conglu/vd4rl"
"""Where V-D4RL's folders are published."""


def default_data_dir() -> Path:
    """`LATENT_POLICIES_DATA`, or `~/.cache/latent-policies`."""
    return Path(os.environ.get("LATENT_POLICIES_DATA") or "~/.cache/latent-policies").expanduser()


def official_path(entry: Entry, data_dir: Path, size: int = 64) -> Path:
    """Where the official file of a data set lives in the cache; of a V-D4RL set, the folder."""
    if entry.suite == "vd4rl":
        return data_dir / "official" / Path(entry.file).parent / f"{size}px"
    return data_dir / "official" / entry.file


def collected_path(name: str, rows: int, seed: int, data_dir: Path) -> Path:
    """Where a recorded set lives in the cache."""
    entry = lookup(name)
    form = "npz" if entry.suite == "ogbench" else "hdf5"
    return data_dir / "collected" / f"{_plain(entry.recording)}-{rows}-seed{seed}.{form}"


def recorded_rows(path: Path) -> list[int]:
    """Rows (or frames) of the recordings of a set that the cache holds, fewest first.

    Arguments:
        path: where one of no rows would be, as of `collected_path` or `pixel_folder`.
    """
    before, after = path.name.split("-0-seed", 1)
    found = (x.name.removeprefix(f"{before}-") for x in path.parent.glob(f"{before}-*"))
    counts = (x.removesuffix(f"-seed{after}") for x in found if x.endswith(f"-seed{after}"))
    return sorted(int(count) for count in counts if count.isdecimal())


def pixel_folder(
    name: str, frames: int, seed: int, data_dir: Path, *, size: int = 64, render: str = "fast"
) -> Path:
    """Where recorded frames live in the cache."""
    return data_dir / "collected" / f"{_plain(name)}-{frames}-seed{seed}-{size}px-{render}"


def _plain(name: str) -> str:
    """A name that is no path."""
    return name.replace("/", "-").replace(":", "-")


def folder_advice(entry: Entry, folder: Path) -> str:
    """What to do to have the official folder of a V-D4RL set."""
    return (
        f"the official V-D4RL folder of '{entry.name}' is not at {folder}; run 'data fetch "
        f"{entry.name}', or get {Path(entry.file).parent} from {MIRROR} and put it there, or name "
        "your copy with --data."
    )
