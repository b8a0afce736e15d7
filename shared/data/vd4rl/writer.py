"""Writes episodes in V-D4RL's two layouts; the same episodes give the same bytes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.data.files.attributes import Attributes
from shared.data.files.writers import hdf5_written, write_archive
from shared.data.recording.whole import Episode
from shared.data.vd4rl.folder import RECORD
from shared.data.vd4rl.rows import STATE


def write_shard(path: Path, episodes: list[dict[str, np.ndarray]], comment: str) -> None:
    """An HDF5 shard: channels first, `step_type` in place of flags."""
    rows = {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
    step_type = 1 - rows.pop("is_first").astype(np.float64) + rows.pop("is_last")
    del rows["is_terminal"]
    image = rows.pop("image").transpose(0, 3, 1, 2)
    with hdf5_written(path) as file:
        file.attrs["source"], file.attrs["record"] = "collected", comment
        for key, value in {"observation": image, "step_type": step_type, **rows}.items():
            chunks = (min(len(value), 20 if key == "observation" else 1000), *value.shape[1:])
            file.create_dataset(
                key,
                data=value,
                chunks=chunks,
                compression="gzip",
                compression_opts=4,
                fletcher32=True,
                track_times=False,
            )


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
