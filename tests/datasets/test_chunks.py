"""Chunks and n-step returns against slow NumPy, on episodes made by hand."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from shared.datasets.chunks import ChunkedRows
from shared.datasets.rows import make_dataset
from shared.types import Transition

# Ends by a time limit, by a fall, too short, with a success inside (antmaze), by a fall at once.
LENGTHS = (7, 6, 2, 8, 1)
FALLS = {12, 18, 23}
"""Rows that end with a terminal: of the second episode, inside the fourth, and the last one."""
DISCOUNT = 0.9


@pytest.fixture(scope="module")
def dataset():
    """The observation of row i is i, its action i / 100; what follows is i + 0.5 at an end."""
    episode = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    row = np.arange(len(episode), dtype=np.float32)
    terminal = np.isin(row, list(FALLS))
    ends = np.append(episode[1:] != episode[:-1], True) | terminal
    following = np.where(ends, row + 0.5, row + 1).astype(np.float32)
    reward = np.sin(row).astype(np.float32)
    columns = (row[:, None], row[:, None] / 100, reward, terminal, following[:, None])
    return make_dataset(Transition(*columns), episode, validation_fraction=0.4, seed=1)


def slow(dataset, start, chunk, n_step):
    """The chunk that begins at a row, step by step; None where there is none."""
    rows = jax.tree.map(np.asarray, dataset.transitions)
    stretch = np.asarray(dataset.stretches.number)
    actions, total, steps = [], 0.0, 0.0
    for k in range(chunk * n_step):
        row = start + k
        if row == len(stretch) or stretch[row] != stretch[start]:
            return None
        actions += [rows.action[row]] if k < chunk else []
        total += DISCOUNT**k * float(rows.reward[row])
        steps += DISCOUNT**k
        if rows.terminal[row]:
            break
    if len(actions) < chunk:
        return None
    return np.concatenate(actions), total, steps, rows.terminal[row], rows.next_observation[row]


@pytest.mark.parametrize(("chunk", "n_step"), [(3, 1), (1, 3), (2, 2)])
def test_every_chunk_is_as_if_made_step_by_step(dataset, chunk, n_step):
    """All that there are, and no others, about equally often."""
    rows = ChunkedRows(dataset, chunk, n_step, DISCOUNT)
    draw = jax.jit(lambda data, key: replace(rows, dataset=data).draw(2000, key=key))
    drawn = jax.tree.map(np.asarray, draw(dataset, jax.random.key(0)))
    starts, counts = np.unique(drawn.observation[:, 0].astype(int), return_counts=True)
    expected = {i: slow(dataset, i, chunk, n_step) for i in range(sum(LENGTHS))}
    assert set(starts) == {i for i, found in expected.items() if found is not None}
    assert counts.min() > 0.5 * counts.mean()
    for i in range(200):
        action, reward, steps, terminal, following = expected[int(drawn.observation[i, 0])]
        np.testing.assert_array_equal(drawn.action[i], action)
        np.testing.assert_allclose(drawn.reward[i], reward, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(drawn.steps[i], steps, rtol=1e-6)
        assert drawn.terminal[i] == terminal
        np.testing.assert_array_equal(drawn.next_observation[i], following)


def test_a_held_out_episode_is_not_trained_on(dataset):
    rows = ChunkedRows(dataset, 2, 1, DISCOUNT)
    drawn = np.unique(rows.draw_training(500, key=jax.random.key(0)).observation[:, 0])
    held = set(np.asarray(dataset.validation_rows))
    assert held and not held & set(drawn.astype(int))
    everything = set(np.unique(rows.draw(500, key=jax.random.key(0)).observation[:, 0]).astype(int))
    assert everything - held == set(drawn.astype(int))


def test_a_weighted_chunk_is_of_a_good_episode(dataset):
    """At a low temperature only the best stretch is left, and of it only whole chunks."""
    rows = ChunkedRows(dataset, 2, 1, DISCOUNT).weighted(0.01)
    drawn = np.asarray(rows.draw(100, key=jax.random.key(0)).observation[:, 0]).astype(int)
    stretches, best = dataset.stretches, int(np.argmax(dataset.returns.merit))
    assert set(drawn) == set(range(int(stretches.first[best]), int(stretches.last[best])))


def test_the_best_chunks_are_of_the_best_stretches(dataset):
    rows = ChunkedRows(dataset, 2, 1, DISCOUNT)
    ranked, number = np.asarray(dataset.ranked_rows), np.asarray(dataset.stretches.number)
    best = set(number[ranked[: round(0.3 * len(ranked))]])
    drawn = rows.draw_best(300, 0.3, key=jax.random.key(0)).observation[:, 0].astype(int)
    assert set(number[np.asarray(drawn)]) <= best


def test_a_row_without_a_chunk_gives_the_last_one_before_it(dataset):
    """Row 6 ends an episode, 14 an episode of two rows, and 23 is alone at the end."""
    rows = ChunkedRows(dataset, 3, 1, DISCOUNT)
    found = rows.rows(jax.numpy.array([2, 6, 14, 23])).observation[:, 0]
    np.testing.assert_array_equal(found, [2, 4, 15, 20])
