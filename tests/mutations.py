"""Small sound files for every reader, and what becomes of files on bad disks and bad days."""

import zipfile
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from recording import record

from shared.data.files.ogbench import write_ogbench

SELDOM = "D4RL, attributes in a heap"
"""Read by a second process each time (`attributes`), so only every 25th file is one."""
_SIZES = (60, 30, 11, 64, 5, 3)  # lengths and widths of the samples, to be found in headers


class Sample(NamedTuple):
    """A sound file: its name tells the format, `reader` what reads it."""

    name: str
    reader: str
    content: bytes


def samples(folder: Path, kind: str) -> list[Sample]:
    """Small sound files of one format ("hdf5" or "npz"), for every reader of it."""
    makers = {"hdf5": _hdf5_files, "npz": _npz_files}[kind](folder)
    return [Sample(name, reader, path.read_bytes()) for name, reader, path in makers]


def _hdf5_files(folder: Path):
    rows = record((20, 20, 20))
    storage = {
        "plain": {},
        "gzip": {"compression": "gzip", "shuffle": True, "chunks": True},
        "checksummed": {"fletcher32": True, "chunks": True},
    }
    for name, options in storage.items():
        path = folder / f"{name}.hdf5"
        with h5py.File(path, "w") as file:
            file.attrs["source"] = np.bytes_(b"collected")
            for key, x in rows.items():
                file.create_dataset(key, data=x, **options)
        yield f"D4RL, {name}", "d4rl", path
    yield "arrays, gzip", "arrays", folder / "gzip.hdf5"
    path = folder / "strings.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"source": "collected", "dataset": "hopper-random", "note": "x" * 50})
        for key, x in rows.items():
            file.create_dataset(key, data=x, **storage["checksummed"])
    yield SELDOM, "d4rl", path
    path = folder / "demos.hdf5"
    with h5py.File(path, "w") as file:
        for k in range(3):
            own = {key: x[20 * k : 20 * k + 20] for key, x in rows.items()}
            for key, x in {
                "dones": own.pop("terminals"),
                "obs/all": own.pop("observations"),
            }.items():
                file[f"data/demo_{k}/{key}"] = x
            for key in ("actions", "rewards"):
                file[f"data/demo_{k}/{key}"] = own[key].astype("f8")
    yield "episodes apart", "d4rl", path
    path = folder / "shard.hdf5"
    with h5py.File(path, "w") as file:
        for key, x in _frames(8).items():
            if key == "image":
                file.create_dataset("observation", data=x.transpose(0, 3, 1, 2), compression="gzip")
            elif not key.startswith("is_"):
                file.create_dataset(key, data=x)
    yield "V-D4RL shard", "frames", path


def _npz_files(folder: Path):
    np.savez_compressed(folder / "archive.npz", **_frames(64))
    yield "V-D4RL archive, 64 px", "frames", folder / "archive.npz"
    np.savez(folder / "stored.npz", **_frames(8))
    yield "V-D4RL archive, stored", "frames", folder / "stored.npz"
    yield "arrays, deflated", "arrays", folder / "archive.npz"
    np.savez_compressed(folder / "rows.npz", **record((20, 20, 20)))
    with zipfile.ZipFile(folder / "rows.npz", "a") as archive:
        archive.comment = b'{"source": "collected", "dataset": "hopper-random"}'
    yield "D4RL's keys", "d4rl", folder / "rows.npz"
    rows = record((20, 20, 20))
    ends = np.arange(60) % 20 == 19
    kept = {key: rows[key] for key in ("observations", "actions", "rewards")}
    masks, valids = np.arange(60) % 7 != 3, ~ends
    np.savez_compressed(
        folder / "ogbench.npz", **kept, terminals=ends, masks=masks, valids=valids.astype("f4")
    )
    yield "OGBench's keys", "d4rl", folder / "ogbench.npz"
    points = np.cumsum(rows["actions"][:, :2] * 0.2, axis=0, dtype=np.float32)
    moved = {"observations": points, "actions": rows["actions"][:, :2], "infos/qpos": points}
    told = {"source": "collected", "dataset": "pointmaze-medium-navigate"}
    write_ogbench(folder / "states.npz", moved | {"timeouts": ends}, told)
    yield "OGBench's states", "d4rl", folder / "states.npz"


def _frames(size: int) -> dict[str, np.ndarray]:
    generator, rows = np.random.default_rng(0), 5
    action = generator.uniform(-1, 1, (rows, 6)).astype(np.float32)
    action[0] = 0
    reward = np.append(0, generator.uniform(0, 1, rows - 1)).astype(np.float32)
    place = np.arange(rows)
    ramp = np.linspace(0, 200, size, dtype=np.uint8)
    image = (ramp[:, None, None] + 10 * place[:, None, None, None].astype(np.uint8)).astype(
        np.uint8
    )
    return {
        "image": np.broadcast_to(image, (rows, size, size, 3))
        + generator.integers(0, 9, (rows, size, size, 3), np.uint8),
        "action": action,
        "reward": reward,
        "discount": np.ones(rows, np.float32),
        "is_first": place == 0,
        "is_last": place == rows - 1,
        "is_terminal": np.zeros(rows, bool),
        "step_type": np.where(place == 0, 0, np.where(place == rows - 1, 2, 1)).astype(np.float32),
    }


def mutate(sample: bytes, other: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    """The kind of a mutation, and a mutated copy; places lie mostly near headers."""
    data, size = bytearray(sample), len(sample)
    edge = min(size, 4000)
    place = int(generator.integers(size))
    if generator.random() < 0.6:  # HDF5's headers are in front, zip's directory is behind
        place = int(
            generator.choice([generator.integers(edge), size - 1 - generator.integers(edge)])
        )
    length = int(generator.integers(1, 200))
    kind = str(generator.choice(list(_MUTATIONS)))
    _MUTATIONS[kind](data, other, place, length, generator)
    return kind, bytes(data)


def _flip(data, other, place, length, generator):
    for _ in range(int(generator.integers(1, 20))):
        near = min(len(data) - 1, place + int(generator.integers(64)))
        data[near] ^= 1 << int(generator.integers(8))


def _truncate(data, other, place, length, generator):
    del data[place:]


def _remove(data, other, place, length, generator):
    del data[place : place + length]


def _zero(data, other, place, length, generator):
    data[place : place + length] = bytes(len(data[place : place + length]))


def _overwrite(data, other, place, length, generator):
    stretch = len(data[place : place + 1 + length % 9])
    data[place : place + stretch] = generator.integers(0, 256, stretch, np.uint8).tobytes()


def _splice(data, other, place, length, generator):
    start = int(generator.integers(len(other)))
    data[place : place + length] = other[start : start + length]


def _swap(data, other, place, length, generator):
    there = int(generator.integers(len(data)))
    first, second = sorted((place, there))
    length = min(length, second - first, len(data) - second)
    one, two = bytes(data[first : first + length]), bytes(data[second : second + length])
    data[first : first + length], data[second : second + length] = two, one


def _grow(data, other, place, length, generator):
    """A declared length or width becomes a large one."""
    width = int(generator.choice([2, 4, 8]))
    old = int(generator.choice(_SIZES)).to_bytes(width, "little")
    new = int(generator.integers(61, 1 << (8 * width - 1))).to_bytes(width, "little")
    found = data.find(old, place)
    found = data.find(old) if found < 0 else found
    place = place if found < 0 else found
    data[place : place + width] = new


_MUTATIONS = {
    "flipped bits": _flip,
    "cut off": _truncate,
    "bytes removed": _remove,
    "zeroed": _zero,
    "overwritten": _overwrite,
    "spliced": _splice,
    "swapped": _swap,
    "grown sizes": _grow,
}
