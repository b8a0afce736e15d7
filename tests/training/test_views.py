"""A phase's own view of its data: of every frame once, along whole episodes, of every seed."""

import jax.numpy as jnp
import numpy as np
import pytest

from shared.algorithm import AbstractAlgorithm, Phase
from shared.datasets.frame_store import to_device
from shared.datasets.frames import Frames
from shared.datasets.rows import make_dataset
from shared.training import program, views
from shared.types import Transition

LENGTHS = (7, 12, 2, 9)


class Sums(AbstractAlgorithm):
    """Sees state · (sum of all pixels so far); its update remembers the greatest of them."""

    title = paper = ""

    def init(self, spec, *, key):
        return jnp.zeros(2)

    def phases(self):
        return (Phase("sum", 4, self.draw, self.update, refresh=self.refresh, view=self.view),)

    def view(self, state, windows):
        seen = jnp.sum(windows.window.observation.astype(jnp.float32), axis=(2, 3, 4))
        return state[0] * jnp.cumsum(seen, axis=1)[..., None]

    def draw(self, dataset, *, key):
        return dataset.draw_windows(64, 3, key=key)

    def update(self, state, batch, *, key):
        state = state.at[1].max(jnp.max(batch.window.observation))
        return state, {"least": jnp.min(batch.window.observation)}

    def refresh(self, state, dataset, *, key):
        return state, {"first": jnp.mean(dataset.observations_at(dataset.episodes.first))}

    def act(self, state, memory, observation, *, key):
        raise NotImplementedError


@pytest.fixture(scope="module")
def frames():
    generator = np.random.default_rng(0)
    episode = np.repeat(np.arange(len(LENGTHS)), np.array(LENGTHS) + 1).astype(np.int32)
    image = generator.integers(1, 256, (len(episode), 6, 6, 3), np.uint8)
    rows = np.zeros(len(episode), np.float32)
    return Frames(image, None, rows[:, None], rows, rows > 0, episode)


@pytest.fixture(scope="module")
def sums(frames):
    """Of all pixels of an episode up to every frame."""
    total = frames.image.astype(np.float64).sum((1, 2, 3))
    return np.concatenate([np.cumsum(total[frames.episode == e]) for e in range(len(LENGTHS))])


@pytest.mark.parametrize("where", ["device", "mapped"])
def test_every_frame_is_seen_once_along_its_episode(frames, sums, where, monkeypatch):
    monkeypatch.setattr(views, "FRAMES", 30)  # two episodes of 13 frames at a time
    state = jnp.asarray([[1.0, 0.0], [2.0, 0.0]])
    data, view = views.source_of(Sums(), 0, state, to_device(frames, where=where))
    np.testing.assert_allclose(view[..., 0], np.stack([sums, 2 * sums]), rtol=1e-6)
    keys = program.seed_keys((3, 4))
    state, metrics = program.run_updates(Sums(), 0, 4, state, data, keys, 0, 4, view=view)
    np.testing.assert_allclose(state[:, 1], [sums.max(), 2 * sums.max()], rtol=1e-6)
    assert metrics["least"].shape == (4, 2) and (metrics["least"][:, 0] >= sums.min()).all()
    _, first = program.run_event(Sums(), 0, program.REFRESH, state, data, keys, 4, view)
    starts = np.cumsum([0, *LENGTHS[:-1]]) + np.arange(len(LENGTHS))
    np.testing.assert_allclose(first["first"][0], sums[starts].mean(), rtol=1e-6)


def test_rows_are_seen_as_frames(frames, sums):
    own = np.flatnonzero(frames.acted)
    image = frames.image
    blank = np.zeros((len(own), 1), np.float32)
    rows = Transition(image[own], blank, blank[:, 0], blank[:, 0] > 0, image[own + 1])
    dataset = make_dataset(rows, frames.episode[own])
    state = jnp.asarray([[1.0, 0.0]])
    _, view = views.source_of(Sums(), 0, state, dataset)
    np.testing.assert_allclose(view[0, :, 0], sums, rtol=1e-6)
    traced = views.shape_of(Sums(), 0, state, dataset).view
    assert (traced.shape, traced.dtype) == (view.shape, view.dtype)


def test_a_phase_without_a_view_draws_from_the_data_itself(frames):
    class Plain(Sums):
        def phases(self):
            return (Phase("plain", 4, self.draw, self.update),)

    data = to_device(frames)
    assert views.source_of(Plain(), 0, jnp.zeros((1, 2)), data) == (data, None)
