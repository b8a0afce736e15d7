"""Where frames live: on the device when they fit, else in a memory-mapped file.

`unpacked` writes the frames of a folder once behind one another into a `.npy` file
that later loads only map.  What does not fit on the device is read from the map page by
page (`shared/datasets/pages.py`), with the same windows for the same keys.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from shared.datasets.frames import Frames
from shared.datasets.pages import MappedSequences
from shared.datasets.sequences import SequenceDataset, make_places
from shared.errors import DataError
from shared.storage.locks import exclusive
from shared.storage.memory import free_memory

SHARE = 0.6
"""Of the free memory of a device or host, for frames; the rest is for models and batches."""


def device_memory() -> int:
    """Free bytes of the first device; a CPU has what this process may still take."""
    device = jax.devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if not statistics:
        return free_memory()
    return statistics["bytes_limit"] - statistics["bytes_in_use"]


def fits(size: int, *, free: int | None = None) -> bool:
    """May `size` bytes of frames be put on the device?"""
    return size <= SHARE * (device_memory() if free is None else free)


def estimate(size: int, where: str = "auto") -> str:
    """What `size` bytes of frames need, what is free, and where `to_device` will keep them."""
    free = device_memory()
    kept = "kept on the device" if _on_device(size, where, free) else "read from the host as needed"
    return f"frames need {size / 2**30:.1f} GiB of {free / 2**30:.1f} GiB free; they are {kept}"


def unpacked(
    shape: tuple[int, ...], path: Path | None, fill: Callable[[np.ndarray], None]
) -> np.ndarray:
    """Frames as one uint8 array that is allocated once.

    Arguments:
        shape: (frames, height, width, 3).
        path: the `.npy` file that keeps them, written once for all processes and mapped
            read-only; None keeps them in memory, or if they do not fit, in a file that
            vanishes with the array.
        fill: writes every frame into the array.

    Raises:
        DataError: too large for the disk, or a damaged file.
    """
    size = int(np.prod(shape))
    if path is None:
        image = np.empty(shape, np.uint8) if fits(size, free=free_memory()) else _aside(shape)
        fill(image)
        return image
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _require_room(size, path.parent, "free some or set another --data-dir")
        with exclusive(path):
            if not path.exists():
                aside = path.with_name(f"{path.name}.partial")
                image = np.lib.format.open_memmap(aside, "w+", np.dtype(np.uint8), shape)
                fill(image)
                image.flush()
                os.replace(aside, path)
    try:
        image = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it.") from error
    if image.dtype != np.uint8 or image.shape != shape:
        raise DataError(f"{path}: holds {image.dtype} {image.shape}, not {shape}; delete it.")
    return image


def _aside(shape: tuple[int, ...]) -> np.ndarray:
    _require_room(int(np.prod(shape)), Path(tempfile.gettempdir()), "set TMPDIR to another disk")
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _require_room(size: int, folder: Path, mend: str) -> None:
    if size > (room := shutil.disk_usage(folder).free):
        raise DataError(
            f"the frames need {size / 2**30:.1f} GiB, more than the {room / 2**30:.1f} GiB of room "
            f"at {folder}; {mend}."
        )


def to_device(
    frames: Frames, *, validation_fraction: float = 0.1, seed: int = 0, where: str = "auto"
) -> SequenceDataset | MappedSequences:
    """The frames as a data set, with whole episodes held out.

    Arguments:
        frames: with images or states.
        validation_fraction: as of `make_places`.
        seed: as of `make_places`.
        where: "device", "mapped" (they stay on the host), or "auto": by the room there is.
    """
    places = make_places(frames, validation_fraction=validation_fraction, seed=seed)
    image = frames.image if frames.image is not None else frames.state
    assert image is not None
    if _on_device(image.nbytes, where, device_memory()):
        # Not `jnp.asarray`: it copies once more on the device, where this takes twice the frames at
        # first, and on a CPU, which can read them where they lie (in a mapped file, unread).
        return SequenceDataset(jax.device_put(image), places)
    return MappedSequences(image, places)


def _on_device(size: int, where: str, free: int) -> bool:
    return where == "device" or (where == "auto" and fits(size, free=free))
