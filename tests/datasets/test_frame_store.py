"""Frames on the device, in a mapped file, and the windows that both give."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.datasets import frame_store
from shared.datasets.frame_store import estimate, fits, to_device, unpacked
from shared.datasets.frames import Frames
from shared.datasets.pages import MappedSequences, frames_asked, prefetch
from shared.datasets.sequences import SequenceDataset
from shared.errors import DataError

LENGTHS = (7, 12, 2, 9)


@pytest.fixture(scope="module")
def frames():
    """Every pixel of frame t of episode e is 20 e + t; action e + t / 100."""
    episode = np.repeat(np.arange(len(LENGTHS)), np.array(LENGTHS) + 1).astype(np.int32)
    t = np.concatenate([np.arange(n + 1) for n in LENGTHS])
    acted = np.append(episode[1:] == episode[:-1], False)
    image = np.broadcast_to((20 * episode + t)[:, None, None, None], (len(t), 6, 6, 3))
    action = ((episode + t / 100) * acted)[:, None].astype(np.float32)
    reward, terminal = action[:, 0] * 2, np.zeros(len(t), bool)
    return Frames(image.astype(np.uint8), None, action, reward, terminal, episode)


def test_windows_stay_in_their_episode_and_in_uint8(frames):
    data = to_device(frames, validation_fraction=0.25)
    assert isinstance(data, SequenceDataset)
    drawn = jax.jit(lambda data, key: data.draw_windows(300, 5, key=key))(data, jax.random.key(0))
    window, observed, acted = jax.tree.map(np.asarray, drawn)
    assert window.observation.dtype == np.uint8 and window.observation.shape == (300, 5, 6, 6, 3)
    place = window.observation[..., 0, 0, 0].astype(int)
    episode, t = place // 20, place % 20
    assert (episode == episode[:, :1]).all()  # none crosses
    last = np.array(LENGTHS)[episode]
    start = t[:, :1]
    assert np.array_equal(observed, start + np.arange(5) <= last)
    assert np.array_equal(acted, start + np.arange(5) < last)
    np.testing.assert_allclose(window.action[..., 0], (episode + t / 100) * acted, rtol=1e-6)
    assert np.array_equal(window.is_first, (t == 0) & observed)
    assert (observed & ~acted).any() and set(np.unique(episode)) == {0, 1, 2, 3}
    seen = {(int(a), int(b)) for a, b in zip(episode[observed], t[observed], strict=True)}
    assert len(seen) == len(frames.reward)  # every frame is reached


def test_a_map_gives_the_windows_of_the_device(frames, tmp_path):
    """Stored, mapped and read in pages: the same windows for the same keys."""
    filled = []

    def fill(image):
        filled.append(image)
        image[:] = frames.image

    path = tmp_path / "cache" / "frames.npy"
    for _ in range(2):  # the second time nothing is unpacked
        image = unpacked(frames.image.shape, path, fill)
    assert len(filled) == 1 and isinstance(image, np.memmap)
    assert np.array_equal(image, frames.image) and not image.flags.writeable
    resident = to_device(frames, validation_fraction=0.25)
    mapped = MappedSequences(image, resident.places)

    def draw(data, *, key):
        return data.draw_training_windows(16, 5, key=key)

    ask = jax.jit(lambda data, key: frames_asked(partial(draw, key=key), data))
    for key in jax.random.split(jax.random.key(1), 3):
        asked = np.asarray(ask(mapped.blank, key))
        assert asked.shape == (16 * 5,)
        page = mapped.page(asked, capacity=len(asked))
        assert page.observation.shape == (80, 6, 6, 3)
        assert_equal(draw(page, key=key), draw(resident, key=key))
    validation = [x.draw_validation_windows(4, 5, key=key) for x in (mapped, resident)]
    assert_equal(*validation)
    with pytest.raises(jax.errors.UnexpectedTracerError):  # of a program within: told, not lost
        frames_asked(jax.jit(partial(draw, key=key)), mapped.blank)


def assert_equal(*trees):
    for a, b in zip(*map(jax.tree.leaves, trees), strict=True):
        assert np.array_equal(a, b) and a.dtype == b.dtype


def test_what_does_not_fit_stays_on_the_host(frames, monkeypatch):
    assert fits(59, free=100) and not fits(61, free=100)
    assert "0.0 GiB of" in estimate(100) and "are kept on the device" in estimate(100)
    monkeypatch.setattr(frame_store, "device_memory", lambda: 1000)
    assert isinstance(to_device(frames), MappedSequences)
    assert estimate(3 << 30) == (
        "frames need 3.0 GiB of 0.0 GiB free; they are read from the host as needed"
    )
    assert isinstance(to_device(frames, where="device"), SequenceDataset)
    assert "kept on the device" in estimate(3 << 30, "device")
    monkeypatch.undo()
    assert isinstance(to_device(frames, where="mapped"), MappedSequences)
    assert "read from the host" in estimate(100, "mapped")
    assert isinstance(to_device(frames._replace(image=None, state=frames.action)), SequenceDataset)


def test_reading_is_ahead_of_the_consumer():
    started = []

    def fetch(i):
        started.append(i)
        return jnp.asarray(i)

    batches = prefetch(fetch, range(10), 3)
    assert int(next(batches)) == 0
    next(batches), next(batches)
    assert len(started) >= 3 and max(started) <= 6  # ahead, but not without bound
    assert [int(x) for x in batches] == list(range(3, 10))


def test_damaged_caches_and_no_room_are_told(frames, tmp_path, monkeypatch):
    path, shape = tmp_path / "frames.npy", frames.image.shape

    def fill(image):
        image[:] = frames.image

    unpacked(shape, path, fill)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="frames.npy: is damaged"):
        unpacked(shape, path, fill)
    np.save(path, np.zeros((3, 6, 6, 3), np.uint8))
    with pytest.raises(DataError, match="delete it"):
        unpacked(shape, path, fill)
    monkeypatch.setattr(frame_store, "free_memory", lambda: 1000)
    aside = unpacked(shape, None, fill)  # no room in the memory, so in a file
    assert isinstance(aside, np.memmap) and np.array_equal(aside, frames.image)
    with pytest.raises(DataError, match="GiB, more than the .* room at"):
        unpacked((1 << 40, 64, 64, 3), tmp_path / "large.npy", fill)


def test_limits_of_the_process_count():
    """Under `ulimit -v` there is less than the machine has."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
        "from shared.storage.memory import free_memory, memory_limit;"
        "print(memory_limit(), free_memory())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    limit, free = map(int, told.stdout.split())
    assert limit <= 3 << 29 and 0 < free < 3 << 30
