"""Windows: alignment, episode borders, padding and coverage, on numbers that tell their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.datasets.rows import make_dataset
from shared.datasets.sequences import to_sequences
from shared.datasets.windows import cut_window, draw_windows, episode_rows
from shared.types import Transition

LENGTHS = (7, 3, 12, 1)


@pytest.fixture(scope="module")
def rows():
    """Observation t of episode e is (e, t); action 100 e + t, reward minus that."""
    parts, episode = [], []
    for e, length in enumerate(LENGTHS):
        t = np.arange(length + 1, dtype=np.float32)
        observation = np.stack([np.full_like(t, e), t], axis=1)
        action = (100 * e + t[:-1])[:, None]
        terminal = (t[:-1] == length - 1) & (e % 2 == 0)
        parts.append((observation[:-1], action, -action[:, 0], terminal, observation[1:]))
        episode += [e] * length
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Transition(*columns), np.array(episode)


def drawn(rows, length, size=400):
    transitions, episode = rows
    device = Transition(*map(jnp.asarray, transitions))
    table = episode_rows(episode)
    return draw_windows(device, table, None, size, length, key=jax.random.key(0))


@pytest.mark.parametrize("length", [2, 4, 20])
def test_a_window_is_one_stretch_of_one_episode(rows, length):
    (window, observed, acted) = jax.tree.map(np.asarray, drawn(rows, length))
    for b in range(len(observed)):
        episode, first = window.observation[b, 0].astype(int)
        end = LENGTHS[episode]  # the number of the last observation
        t = first + np.arange(length)
        np.testing.assert_array_equal(observed[b], t <= end)
        np.testing.assert_array_equal(acted[b], t < end)
        real, taken = t[observed[b]], t[acted[b]]
        np.testing.assert_array_equal(window.observation[b][observed[b], 0], episode)
        np.testing.assert_array_equal(window.observation[b][observed[b], 1], real)
        # The action is the one taken at the observation, the reward what it earned.
        np.testing.assert_array_equal(window.action[b][acted[b], 0], 100 * episode + taken)
        np.testing.assert_array_equal(window.reward[b][acted[b]], -(100 * episode + taken))
        fatal = (taken == end - 1) & (episode % 2 == 0)
        np.testing.assert_array_equal(window.terminal[b][acted[b]], fatal)
        np.testing.assert_array_equal(window.is_first[b], t == 0)
        assert (window.action[b][~acted[b]] == 0).all() and not window.terminal[b][~acted[b]].any()
        if end + 1 >= length:
            assert observed[b].all(), "padding only where the episode is too short"


def test_every_row_is_seen_about_equally_often(rows):
    length = 4
    window, _, acted = jax.tree.map(np.asarray, drawn(rows, length, size=20000))
    action, counts = np.unique(window.action[acted][:, 0].astype(int), return_counts=True)
    assert len(action) == sum(LENGTHS), "every row can be drawn"
    longest = counts[(action >= 200)][: LENGTHS[2]]
    assert longest.min() > 0.4 * np.median(longest)


def test_a_window_at_a_given_row(rows):
    transitions, episode = rows
    table = episode_rows(episode)
    np.testing.assert_array_equal(table.first, [0, 7, 10, 22])
    np.testing.assert_array_equal(table.last, [6, 9, 21, 22])
    device = Transition(*map(jnp.asarray, transitions))
    cut = cut_window(device, table, jnp.int32(1), jnp.int32(8), 4)
    np.testing.assert_array_equal(cut.window.observation[:3, 1], [1, 2, 3])
    np.testing.assert_array_equal(cut.observed, [True, True, True, False])
    np.testing.assert_array_equal(cut.acted, [True, True, False, False])


def test_training_and_validation_windows_share_no_episode(rows):
    dataset = make_dataset(*rows, validation_fraction=0.5)
    episodes = [
        set(np.unique(np.asarray(draw(200, 3, key=jax.random.key(1)).window.observation)[..., 0]))
        for draw in (dataset.draw_training_windows, dataset.draw_validation_windows)
    ]
    assert not episodes[0] & episodes[1]
    everything = dataset.draw_windows(200, 3, key=jax.random.key(1)).window.observation[..., 0]
    assert set(np.unique(np.asarray(everything))) == episodes[0] | episodes[1]


def test_windows_of_a_real_recording(hopper_random):
    """Recorded rows follow each other: each next observation is the window's next one."""
    dataset = hopper_random.to_device()
    window, observed, acted = dataset.draw_windows(64, 12, key=jax.random.key(2))
    assert window.observation.shape == (64, 12, 11) and window.action.shape == (64, 12, 3)
    following = {
        row.tobytes(): following
        for row, following in zip(
            hopper_random.transitions.observation,
            hopper_random.transitions.next_observation,
            strict=True,
        )
    }
    observation = np.asarray(window.observation)
    for b, t in np.argwhere(np.asarray(acted)[:, :-1]):
        expected = following[observation[b, t].tobytes()]
        np.testing.assert_array_equal(observation[b, t + 1], expected)
        assert observed[b, t + 1]


def test_rows_and_frames_give_the_same_windows(rows):
    dataset = make_dataset(*rows, validation_fraction=0.5)
    frames = to_sequences(dataset)
    assert len(frames.reward) == sum(LENGTHS) + len(LENGTHS)
    for draw in ("draw_windows", "draw_training_windows", "draw_validation_windows"):
        of_rows, of_frames = (
            jax.jit(lambda data, draw=draw: getattr(data, draw)(50, 5, key=jax.random.key(3)))(data)
            for data in (dataset, frames)
        )
        real = np.asarray(of_rows.observed)
        for a, b in zip(jax.tree.leaves(of_rows), jax.tree.leaves(of_frames), strict=True):
            np.testing.assert_array_equal(np.asarray(a)[real], np.asarray(b)[real])
        np.testing.assert_array_equal(of_rows.observed, of_frames.observed)
    assert to_sequences(frames) is frames
