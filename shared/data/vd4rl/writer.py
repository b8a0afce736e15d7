"""Writes episodes in V-D4RL's two layouts; the same episodes give the same bytes."""

import zipfile
from pathlib import Path

import h5py
import numpy as np


def write_archive(path: Path, episodes: list[dict[str, np.ndarray]], comment: str) -> None:
    """A compressed npz; zip members carry no time of their own, so bytes repeat."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for key, value in episodes[0].items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)
        archive.comment = comment.encode()[:65535]


def write_shard(path: Path, episodes: list[dict[str, np.ndarray]], comment: str) -> None:
    """An HDF5 shard: channels first, `step_type` in place of flags."""
    rows = {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
    step_type = 1 - rows.pop("is_first").astype(np.float64) + rows.pop("is_last")
    del rows["is_terminal"]
    image = rows.pop("image").transpose(0, 3, 1, 2)
    with h5py.File(path, "w") as file:
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
