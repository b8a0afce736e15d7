"""Draws by what episodes earned, beside frequencies that NumPy counts."""

import jax
import numpy as np
import pytest

from shared.datasets.replay import MixedDataset, RingBuffer
from shared.datasets.rows import make_dataset
from shared.datasets.sequences import to_sequences
from shared.types import Transition

LENGTHS = np.array([7, 3, 12, 1])
EPISODE = np.repeat(np.arange(4), LENGTHS)
ROWS = len(EPISODE)
REWARD = np.array([2.0, 1.0, 0.5, 9.0], np.float32)[EPISODE]
TERMINAL = np.zeros(ROWS, bool)
TERMINAL[[3, 6]] = True  # the first episode is two stretches: rows 0 to 3, and 4 to 6
STRETCH = np.repeat(np.arange(5), [4, 3, 3, 12, 1])
TEMPERATURE = 0.4
DRAWN = 40_000


RETURNS = np.array([8.0, 6.0, 3.0, 6.0, 9.0])
EVERY_ROW = np.ones(ROWS, bool)


def expected(allowed=EVERY_ROW):
    """The slow way: a weight for every row."""
    weight = allowed * np.exp((RETURNS - 3) / 6 / TEMPERATURE)[STRETCH]
    return weight / weight.sum()


def frequency(rows):
    """Of the rows that were drawn."""
    return np.bincount(np.asarray(rows, int).ravel(), minlength=ROWS) / np.size(rows)


def tolerance(share):
    """Five standard deviations of a frequency."""
    return 5 * np.sqrt(share * (1 - share) / DRAWN).max()


@pytest.fixture(scope="module")
def dataset():
    """The observation of row i is i, and i + 1 follows; the weighted draws of it."""
    row = np.arange(ROWS, dtype=np.float32)[:, None]
    transitions = Transition(row, row / 100, REWARD, TERMINAL, row + 1)
    return make_dataset(transitions, EPISODE, validation_fraction=0.3, seed=1)


@pytest.fixture(scope="module")
def weighted(dataset):
    return dataset.weighted(TEMPERATURE)


def allowed_rows(dataset, name):
    allowed = np.zeros(ROWS, bool)
    index = {"draw_training": dataset.training_rows, "draw_sarsa": dataset.sarsa_rows}.get(name)
    allowed[slice(None) if index is None else np.asarray(index)] = True
    return allowed


@pytest.mark.parametrize("name", ["draw", "draw_training", "draw_sarsa"])
def test_rows_are_drawn_as_often_as_their_episode_is_worth(dataset, weighted, name):
    drawn = jax.jit(lambda data, key: getattr(data, name)(DRAWN, key=key))(
        weighted, jax.random.key(0)
    )
    rows = drawn[0] if name == "draw_sarsa" else drawn
    share = expected(allowed_rows(dataset, name))
    found = frequency(rows.observation)
    np.testing.assert_allclose(found, share, atol=tolerance(share))
    assert not found[share == 0].any()
    assert name == "draw" or (share == 0).any(), "something is left out"


@pytest.mark.parametrize("name", ["draw_windows", "draw_training_windows"])
def test_windows_are_laid_around_rows_so_drawn(dataset, weighted, name):
    """Of one observation each they are the rows; rows and frames show the same."""
    key = jax.random.key(2)
    windows = [
        jax.jit(lambda data: getattr(data, name)(DRAWN, 1, key=key).window)(data)
        for data in (weighted, to_sequences(dataset).weighted(TEMPERATURE))
    ]
    np.testing.assert_array_equal(windows[0].observation, windows[1].observation)
    share = expected(allowed_rows(dataset, name.removesuffix("_windows")))
    np.testing.assert_allclose(frequency(windows[0].observation), share, atol=tolerance(share))


def test_what_lies_along_windows_is_of_the_same_windows(weighted):
    def both(data):
        window = data.draw_windows(50, 3, key=jax.random.key(3)).window
        return window.reward, data.along_windows(data.reward, 50, 3, key=jax.random.key(3))

    np.testing.assert_array_equal(*jax.jit(both)(weighted))


def test_rows_weigh_what_they_are_drawn(dataset, weighted):
    row = np.arange(3, ROWS - 1)
    found = weighted.returns.row_weights(jax.numpy.asarray(row))
    np.testing.assert_allclose(found, expected()[row] / expected()[row].max(), rtol=1e-5)
    np.testing.assert_array_equal(dataset.returns.row_weights(jax.numpy.asarray(row)), 1)


def test_the_limits_are_uniform_rows_and_the_best_episode(dataset):
    hot = frequency(dataset.weighted(1e6).draw(DRAWN, key=jax.random.key(4)).observation)
    np.testing.assert_allclose(hot, 1 / ROWS, atol=tolerance(np.array([1 / ROWS])))
    cold = dataset.weighted(1e-3).draw(50, key=jax.random.key(4)).observation
    assert set(np.unique(cold)) == {ROWS - 1.0}


def test_online_only_recorded_rows_are_weighted(weighted):
    """Recorded and new rows share the batch by how many there are."""
    new = jax.tree.map(np.ones_like, weighted.transitions)._replace(
        observation=np.full((ROWS, 1), ROWS, np.float32)
    )
    both = MixedDataset(weighted, RingBuffer.empty(ROWS, 1, 1).append(new))
    draw = jax.jit(lambda data, key: data.draw(DRAWN, key=key).observation)
    rows = np.asarray(draw(both, jax.random.key(6)))
    old = rows[rows < ROWS]
    assert abs(len(old) / DRAWN - 0.5) < 0.02
    share = expected()
    np.testing.assert_allclose(frequency(old), share, atol=2 * tolerance(share))
