"""Terminals inside of recorded episodes (antmaze): what counts ends there."""

import jax
import numpy as np
import pytest

from clap.returns import data_returns, episode_merit
from shared.datasets.rows import make_dataset
from shared.types import Transition

EPISODE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
REWARD = np.array([0, 1, 0, 1, 1, 0, 0, 3, 0], np.float32)
TERMINAL = np.array([0, 1, 0, 0, 0, 0, 0, 1, 0], bool)
STRETCH = np.array([0, 0, 1, 1, 1, 2, 2, 2, 3])


@pytest.fixture(scope="module")
def dataset():
    """The observation of row i is i, and i + 1 follows."""
    row = np.arange(9, dtype=np.float32)[:, None]
    return make_dataset(Transition(row, row / 10, REWARD, TERMINAL, row + 1), EPISODE)


def test_returns_to_go_end_at_the_next_terminal(dataset):
    np.testing.assert_array_equal(dataset.return_to_go, [1, 1, 2, 2, 1, 3, 3, 3, 0])


def test_the_best_rows_are_those_of_the_best_stretch(dataset):
    """Rows behind a success that earned nothing are not cloned for it."""
    np.testing.assert_array_equal(dataset.ranked_rows, [5, 6, 7, 2, 3, 4, 0, 1, 8])
    best = dataset.draw_best(50, 1 / 3, key=jax.random.key(0)).observation
    assert set(np.unique(best)) == {5, 6, 7}


def test_a_next_action_is_known_but_at_the_ends_of_episodes(dataset):
    """Row 4 breaks off and row 8 does; a terminal needs none."""
    np.testing.assert_array_equal(dataset.sarsa_rows, [0, 1, 2, 3, 5, 6, 7])


def test_return_windows_do_not_cross_a_terminal(dataset):
    windows, first = dataset.draw_return_windows(200, 3, key=jax.random.key(0))
    firsts = np.array([0, 2, 5, 8])
    seen = set()
    for b in range(200):
        rows = np.asarray(windows.window.observation[b, :, 0])[np.asarray(windows.acted[b])]
        rows = rows.astype(int)
        assert len(set(STRETCH[rows])) == 1
        assert first[b] == rows[0] - firsts[STRETCH[rows[0]]]
        expected = dataset.return_to_go[rows]
        np.testing.assert_array_equal(windows.window.reward[b][: len(rows)], expected)
        seen |= set(rows)
    assert seen == set(range(9))


def test_world_models_see_the_same_returns(dataset):
    """Discounted ones for the values' bounds, whole ones as the merit of imitation."""
    found = jax.jit(data_returns)(dataset, 0.5)
    returns = np.array([0.5, 1, 0.75, 1.5, 1, 0.75, 1.5, 3, 0])
    np.testing.assert_allclose(found[0], returns.mean())
    np.testing.assert_allclose(found.at_starts, (0.5 + 0.75) / 2)
    total = np.bincount(STRETCH, REWARD)[STRETCH]
    expected = (total - total.mean()) / total.std()
    np.testing.assert_allclose(jax.jit(episode_merit)(dataset), expected, rtol=1e-5)
