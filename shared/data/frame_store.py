"""Where frames live: on the device when they fit, else in a memory-mapped file.

`store_frames` unpacks a folder once into `<data dir>/frames/<digest>/`: `image.npy` with
all frames behind one another, `rest.npz` with everything else.  Later loads map the
file and unpack nothing.  What does not fit on the device is read from the map window by
window, ahead of need (`prefetch`), with the same windows for the same keys.
"""

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from shared.data.frames import Frames
from shared.data.hdf5 import memory_limit
from shared.data.locks import exclusive
from shared.data.npz import read_npz
from shared.data.sequences import Places, SequenceDataset, make_places
from shared.data.windows import EpisodeWindow
from shared.errors import DataError

_REST = ("state", "action", "reward", "terminal", "episode")
SHARE = 0.6
"""Of the free memory of a device, for frames; the rest is for models and batches."""


def frame_bytes(frames: int, shape: tuple[int, ...]) -> int:
    """Bytes of uint8 frames."""
    return frames * int(np.prod(shape))


def device_memory() -> int:
    """Free bytes of the first device; a CPU has the memory of its machine or container."""
    device = jax.devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if not statistics:
        return 2 * memory_limit()
    return statistics["bytes_limit"] - statistics["bytes_in_use"]


def fits(size: int, *, free: int | None = None) -> bool:
    """May `size` bytes of frames be put on the device?"""
    return size <= SHARE * (device_memory() if free is None else free)


def store_frames(frames: Frames, digest: str, data_dir: Path) -> Path:
    """Write the cache of these frames, once for all processes; returns its folder.

    Raises:
        DataError: the disk has no room.
    """
    folder = cache_folder(digest, data_dir)
    if frames.image is None or folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if frames.image.nbytes > free:
        raise DataError(
            f"{folder}: the unpacked frames need {frames.image.nbytes / 2**30:.1f} GiB, but the "
            f"disk has {free / 2**30:.1f}; free some space or set another --data-dir."
        )
    with exclusive(folder):
        if not folder.is_dir():
            aside = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            rest = {key: getattr(frames, key) for key in _REST if getattr(frames, key) is not None}
            np.savez(aside / "rest.npz", allow_pickle=False, **rest)
            np.save(aside / "image.npy", frames.image, allow_pickle=False)
            os.replace(aside, folder)
    return folder


def open_frames(digest: str, data_dir: Path) -> Frames | None:
    """The cached frames, images as a read-only map of the file; None if there is no cache.

    Raises:
        DataError: the cache is damaged.
    """
    folder = cache_folder(digest, data_dir)
    if not folder.is_dir():
        return None
    try:
        image = np.load(folder / "image.npy", mmap_mode="r", allow_pickle=False)
        rest = read_npz(folder / "rest.npz", _REST).arrays
        frames = Frames(image, rest.get("state"), *(rest[key] for key in _REST[1:]))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: is damaged ({error}); delete this folder.") from error
    if image.dtype != np.uint8 or image.ndim != 4 or len(image) != len(frames.reward):
        raise DataError(f"{folder}: image.npy and rest.npz disagree; delete this folder.")
    return frames


def cache_folder(digest: str, data_dir: Path) -> Path:
    """Where the unpacked frames of a data set with this digest live."""
    return data_dir / "frames" / digest[:24]


def to_device(
    frames: Frames, *, validation_fraction: float = 0.1, seed: int = 0
) -> "SequenceDataset | MappedSequences":
    """A `SequenceDataset` if the frames fit on the device, else a `MappedSequences`."""
    places = make_places(frames, validation_fraction=validation_fraction, seed=seed)
    image = frames.image if frames.image is not None else frames.state
    assert image is not None
    if fits(image.nbytes):
        return SequenceDataset(jnp.asarray(image), places)
    return MappedSequences(image, places)


class MappedSequences:
    """Frames that stay in a mapped file (or host memory); windows are fetched ahead of need.

    Attributes:
        image: all frames, NumPy.
        places: actions, rewards, and where windows may lie.
    """

    def __init__(self, image: np.ndarray, places: Places):
        self.image, self.places = image, places

    def windows(
        self,
        keys: Iterable[PRNGKeyArray],
        batch_size: int,
        length: int,
        *,
        held_out: bool = False,
        ahead: int = 3,
    ) -> Iterator[EpisodeWindow]:
        """One batch of windows a key, those that `SequenceDataset` would draw with it.

        Arguments:
            keys: one a batch.
            batch_size: windows in a batch.
            length: frames in a window.
            held_out: from the validation episodes, not the training episodes.
            ahead: batches that are read while the device works on an earlier one.
        """
        among = self.places.validation if held_out else self.places.training

        def fetch(key) -> EpisodeWindow:
            start, episode, number = _draw(self.places, among, batch_size, length, key)
            frames = self.image[np.asarray(number).ravel()]
            shape = (batch_size, length, *self.image.shape[1:])
            return _cut(self.places, jnp.asarray(frames.reshape(shape)), start, episode)

        yield from prefetch(fetch, keys, ahead)


def prefetch(fetch: Callable, items: Iterable, ahead: int) -> Iterator:
    """`fetch(item)` of every item in order; a thread works `ahead` of the consumer."""
    pending: deque[Future] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        for item in items:
            pending.append(pool.submit(fetch, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@partial(jax.jit, static_argnames=("batch_size", "length"))
def _draw(places: Places, among, batch_size: int, length: int, key):
    start, episode = places.draw(among, batch_size, length, key=key)
    number = jax.vmap(partial(places.frame_numbers, length=length))(start, episode)
    return start, episode, number


@jax.jit
def _cut(places: Places, observation, start, episode) -> EpisodeWindow:
    return jax.vmap(places.cut)(observation, start, episode)
