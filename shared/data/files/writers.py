"""Writes data sets in the forms of `sources`; equal contents give equal bytes."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from shared.data.files.attributes import Attributes
from shared.data.files.columns import KEYS, Columns
from shared.data.vd4rl.folder import RECORD
from shared.data.vd4rl.rows import STATE
from shared.data.vd4rl.writer import write_archive
from shared.data.whole_episodes import Episode

_CHUNK_BYTES = 1 << 18


def arrays_of(columns: Columns) -> dict[str, np.ndarray]:
    """The columns by D4RL's keys, without the absent ones."""
    return {k: x for k, x in zip(KEYS, columns, strict=True) if x is not None}


def write_d4rl(path: Path, data: dict[str, np.ndarray], attributes: dict) -> None:
    """Write beside `path` and rename; checksummed chunks, no times, so bytes repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with h5py.File(temporary, "w") as file:
            for key, value in attributes.items():
                file.attrs[key] = value
            for key, value in data.items():
                row_bytes = value.itemsize * int(np.prod(value.shape[1:]))
                chunk = min(len(value), max(1, _CHUNK_BYTES // row_bytes))
                file.create_dataset(
                    key,
                    data=value,
                    chunks=(chunk, *value.shape[1:]),
                    fletcher32=True,  # a flipped bit becomes a read error
                    track_times=False,
                )
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fixed_strings(record: Attributes) -> dict:
    """Attributes with strings of fixed length, which are safe to read (see `attributes`)."""
    pairs = ((k, np.bytes_(v.encode()) if isinstance(v, str) else v) for k, v in record.items())
    return {k: v for k, v in pairs if v != b""}


def write_npz(path: Path, columns: Columns, record: Attributes) -> None:
    """An archive with D4RL's keys; its comment is the record as JSON."""
    write_archive(path, [arrays_of(columns)], json.dumps(record))


def write_vd4rl(folder: Path, episodes: Sequence[Episode], record: Attributes) -> None:
    """A folder of V-D4RL's episode archives; states lie flat under `state`.

    A row holds the action that led to it, so the first row's is zero.
    """
    folder.mkdir(parents=True)
    text = json.dumps(record)
    for number, episode in enumerate(episodes):
        frames = len(episode.reward) + 1
        terminal = np.concatenate([[False], episode.terminal])
        rows = {
            "action": np.concatenate([np.zeros_like(episode.action[:1]), episode.action]),
            "reward": np.concatenate([np.zeros(1, np.float32), episode.reward]),
            "discount": (~terminal).astype(np.float32),
            "is_first": np.arange(frames) == 0,
            "is_last": np.arange(frames) == frames - 1,
            "is_terminal": terminal,
        }
        seen = {"image": episode.image, STATE: episode.state}
        rows |= {key: x for key, x in seen.items() if x is not None}
        write_archive(folder / f"{number:06d}-{frames}.npz", [rows], text)
    if record.get("source") == "collected":
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
