"""Frames on the host, read page by page: all is as with all of them on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.algorithm import AbstractAlgorithm, Phase
from shared.datasets import frame_store
from shared.datasets.frame_store import to_device
from shared.datasets.frames import Frames
from shared.errors import DataError
from shared.training import paging, program
from shared.types import Spec

LENGTHS = (7, 12, 2, 9)
PIECES = ((0, 5), (5, 7))


class Looker(AbstractAlgorithm):
    """Remembers what it was shown, in one number; every kind of event looks at frames."""

    title = paper = ""

    def init(self, spec, *, key):
        return jax.random.uniform(key)

    def phases(self):
        more = {"refresh": self.refresh, "start": self.start}
        return (Phase("look", 7, self.draw, self.update, **more),)

    def draw(self, dataset, *, key):
        return dataset.draw_training_windows(3, 4, key=key), dataset.draw_windows(2, 2, key=key)

    def update(self, state, batch, *, key):
        seen = sum(jnp.mean(x.window.observation / 255) for x in batch)
        state = 0.7 * state + seen * jax.random.uniform(key)
        return state, {"seen": seen}

    def refresh(self, state, dataset, *, key):
        held = jnp.mean(dataset.draw_validation_windows(2, 3, key=key).window.observation / 255)
        first = jnp.mean(dataset.observations_at(dataset.episodes.first) / 255)
        return state + held, {"held": held, "first": first}

    def start(self, state, dataset, *, key):
        return self.update(state, self.draw(dataset, key=key), key=key)[0]

    def act(self, state, memory, observation, *, key):
        raise NotImplementedError


@pytest.fixture(scope="module")
def frames():
    generator = np.random.default_rng(0)
    episode = np.repeat(np.arange(len(LENGTHS)), np.array(LENGTHS) + 1).astype(np.int32)
    image = generator.integers(0, 256, (len(episode), 6, 6, 3), np.uint8)
    rows = np.zeros(len(episode), np.float32)
    return Frames(image, None, rows[:, None], rows, rows > 0, episode)


def train(dataset, state, pieces):
    """The state after these pieces, and all metrics."""
    algorithm, keys, told = Looker(), program.seed_keys((3, 4)), []

    def event(kind, state, step):
        data = paging.data_of_event(algorithm, 0, kind, state, dataset, keys, step)
        return program.run_event(algorithm, 0, kind, state, data, keys, step)

    if pieces[0][0] == 0:
        state, _ = event(program.START, state, 0)
    calls = paging.calls(algorithm, 0, dataset, keys, pieces, 5)
    for _, stop in pieces:
        state, metrics = paging.run_calls(algorithm, 0, state, calls, keys, stop)
        told.append(metrics)
        state, metrics = event(program.REFRESH, state, stop)
        told.append(metrics)
    assert next(calls, None) is None
    return state, told


def test_pages_change_no_bit(frames, monkeypatch):
    state = jnp.asarray([0.3, 0.6])
    resident, mapped = (to_device(frames, where=where) for where in ("device", "mapped"))
    expected = train(resident, jnp.copy(state), PIECES)
    one = 2 * (3 * 4 + 2 * 2)  # frames of both seeds
    monkeypatch.setattr(paging, "PAGE_BYTES", 2 * one * mapped.frame_bytes)
    keys = program.seed_keys((3, 4))
    counts = [x.count for x in paging.calls(Looker(), 0, mapped, keys, PIECES, 5)]
    assert counts == [2, 2, 1, 2]
    found = train(mapped, jnp.copy(state), PIECES)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.array_equal(a, b) and a.dtype == b.dtype
    assert len(found[1][0]["seen"]) == 5 and not np.array_equal(*found[0])
    spec = Spec.of_pixels(frames.image.shape[1:], 1, np.zeros(2, np.float32))
    assert set(program.metric_names(Looker(), spec, mapped)) == {"seen", "held", "first"}


def test_an_update_that_does_not_fit_is_told(frames, monkeypatch):
    mapped = to_device(frames, where="mapped")
    monkeypatch.setattr(frame_store, "device_memory", lambda: 1000)
    with pytest.raises(DataError, match="lower the batch size"):
        next(paging.calls(Looker(), 0, mapped, program.seed_keys((3, 4)), PIECES, 5))
