"""Writes Minari data sets in their own layout (see `minari_reader`), without Minari."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared.data.files.attributes import Attributes
from shared.data.files.minari_reader import FLAT, MAIN, METADATA, RECORD
from shared.data.files.writers import hdf5_written
from shared.data.recording.whole import Episode

_ENDS = ("low", "high")
VERSION = "0.5.4"
"""The version that the written files state; Minari refuses those that it does not know."""


def dataset_id(folder: Path) -> str:
    """The name that Minari knows a folder by: its own, with a version."""
    plain = re.sub(r"[^\w-]", "-", folder.name) or "data"
    return plain if re.search(r"[^-]-v\d+$", plain) else f"{plain}-v0"


def write_minari(folder: Path, episodes: Sequence[Episode], name: str, record: Attributes) -> None:
    """Write a data set in Minari's own layout; equal episodes give equal bytes.

    Arguments:
        folder: new; gets `data/`.
        episodes: of one form.
        name: its `dataset_id`.
        record: what it was made of, kept in `metadata.json`.
    """
    place = folder / "data"
    place.mkdir(parents=True)
    with hdf5_written(place / MAIN) as file:
        for number, episode in enumerate(episodes):
            group = file.create_group(f"episode_{number}")
            group.attrs["id"], group.attrs["total_steps"] = number, len(episode.reward)
            group.create_group("infos")  # Minari prints an episode by its infos
            for key, x in zip(FLAT, episode[2:], strict=True):
                _store(group, key, x)
            for key, x in _observations(episode).items():
                _store(group, key, x)
    first = episodes[0]
    spaces = {key: _box(x) for key, x in _observations(first).items()}
    box = next(iter(spaces.values()))
    parts = {key.partition("/")[2]: x for key, x in spaces.items()}
    inside = max(np.abs(x.action).max() for x in episodes) <= 1
    bounds = tuple(record.get(key, end if inside else end * np.inf) for key, end in _RANGE)
    about = {
        "dataset_id": name,
        "minari_version": VERSION,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "total_episodes": len(episodes),
        "total_steps": sum(len(x.reward) for x in episodes),
        "dataset_size": round((place / MAIN).stat().st_size / 1e6, 1),
        "observation_space": json.dumps(
            {"type": "Dict", "subspaces": parts} if len(spaces) > 1 else box
        ),
        "action_space": json.dumps(_box(first.action, bounds)),
        RECORD: record,
    }
    (place / METADATA).write_text(json.dumps(about), "utf-8")


def _observations(episode: Episode) -> dict[str, np.ndarray]:
    """By gymnasium's names for pictures beside a state."""
    seen = {"pixels": episode.image, "state": episode.state}
    parts = {f"observations/{key}": x for key, x in seen.items() if x is not None}
    return parts if len(parts) > 1 else dict(zip(("observations",), parts.values(), strict=True))


def _store(group: h5py.Group, key: str, x: np.ndarray) -> None:
    packed = {"compression": "gzip", "compression_opts": 4} if x.ndim == 4 else {}
    # A flipped bit becomes a read error; no times, so bytes repeat.
    group.create_dataset(key, data=x, chunks=True, fletcher32=True, track_times=False, **packed)


_RANGE = (("action_low", -1.0), ("action_high", 1.0))


def _box(x: np.ndarray, bounds: tuple = (-np.inf, np.inf)) -> dict[str, Any]:
    """Minari's JSON of a gymnasium `Box` for rows like those of x."""
    bounds, shape = (0, 255) if x.dtype == np.uint8 else bounds, x.shape[1:]
    limits = {k: np.full(shape, v, x.dtype).tolist() for k, v in zip(_ENDS, bounds, strict=True)}
    return {"type": "Box", "dtype": str(x.dtype), "shape": list(shape), **limits}
