"""Alignment of the reader on hand-made files with known answers."""

import numpy as np
import pytest

from shared.data.reader import read_states
from shared.errors import DataError
from shared.types import Transition

ROWS = 8


def hand_made(**changes):
    """Rows 0-2 end in a terminal, rows 3-5 at a timeout, rows 6-7 are unfinished."""
    number = np.arange(ROWS, dtype=np.float32)
    arrays = {
        "observations": np.stack([number, -number], axis=1),
        "actions": (number / 10)[:, None],
        "rewards": number + 1,
        "terminals": number == 2,
        "timeouts": number == 5,
    }
    return arrays | changes


def own_next():
    following = np.arange(1, ROWS + 1, dtype=np.float32)
    following[[2, 5, 7]] = [30, 60, 80]  # what the fall, the time limit and the end led to
    return np.stack([following, -following], axis=1)


def test_without_next_observations(write):
    data = read_states(write(hand_made()))
    t = data.transitions
    # Row 5 (timeout) and row 7 (the last) have no successor; terminal row 2 keeps its own.
    np.testing.assert_array_equal(t.observation[:, 0], [0, 1, 2, 3, 4, 6])
    np.testing.assert_array_equal(t.next_observation[:, 0], [1, 2, 2, 4, 5, 7])
    np.testing.assert_array_equal(t.reward, [1, 2, 3, 4, 5, 7])
    np.testing.assert_array_equal(t.terminal, [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(data.episode, [0, 0, 0, 1, 1, 2])
    check_episodes(data)


def test_with_next_observations(write):
    data = read_states(write(hand_made(next_observations=own_next())))
    t = data.transitions
    np.testing.assert_array_equal(t.observation[:, 0], np.arange(8))
    np.testing.assert_array_equal(t.next_observation[:, 0], [1, 2, 30, 4, 5, 60, 7, 80])
    np.testing.assert_array_equal(t.next_observation[:, 1], -t.next_observation[:, 0])
    np.testing.assert_array_equal(t.terminal, np.arange(8) == 2)
    np.testing.assert_array_equal(data.episode, [0, 0, 0, 1, 1, 1, 2, 2])
    check_episodes(data)


def check_episodes(data):
    np.testing.assert_array_equal(data.episode_returns, [6, 15, 15])
    np.testing.assert_array_equal(data.episode_lengths, [3, 3, 2])
    np.testing.assert_array_equal(data.episode_finished, [True, True, False])
    assert data.mean_return == 10.5  # the unfinished episode does not count
    assert data.rows == len(data.transitions.reward)
    assert data.mean_score is None and data.environment is None
    for field, dtype in zip(Transition._fields, ["f4", "f4", "f4", "?", "f4"], strict=True):
        assert getattr(data.transitions, field).dtype == np.dtype(dtype)


def test_a_seam_without_a_flag_cuts_the_episode(write):
    """Files break off in mid-episode and are then joined; nothing marks the seam."""
    rows = 200  # so that the seam is rare
    arrays = {
        "observations": np.arange(rows, dtype=np.float32)[:, None],
        "actions": np.linspace(-1, 1, rows, dtype=np.float32)[:, None],
        "rewards": np.ones(rows, np.float32),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.arange(rows) % 50 == 49,
    }
    arrays["next_observations"] = arrays["observations"] + np.where(arrays["timeouts"], 0.5, 1)[
        :, None
    ].astype(np.float32)
    arrays["observations"][130:] += 1000
    arrays["next_observations"][130:] += 1000
    data = read_states(write(arrays))
    np.testing.assert_array_equal(data.episode_lengths, [50, 50, 30, 20, 50])
    assert data.rows == rows and list(data.episode_finished) == [True, True, False, True, True]
    assert any("first 129" in warning for warning in data.warnings)


def test_a_reset_stored_as_next_observation_is_left_out(write):
    following = own_next()
    following[5] = hand_made()["observations"][6]
    data = read_states(write(hand_made(next_observations=following)))
    np.testing.assert_array_equal(data.transitions.observation[:, 0], [0, 1, 2, 3, 4, 6, 7])
    assert any("left out" in warning for warning in data.warnings)


def test_both_flags_is_terminal(write):
    data = read_states(write(hand_made(timeouts=np.isin(np.arange(ROWS), [2, 5]))))
    assert data.transitions.terminal.sum() == 1 and len(data.episode_returns) == 3


def test_same_rows_as_the_usual_reader(write):
    """D4RL's loop (skip timeout rows, next observation from row i+1, never the last row)."""
    generator = np.random.default_rng(3)
    rows = 500
    arrays = {
        "observations": generator.normal(size=(rows, 2)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 1)).astype(np.float32),
        "rewards": generator.normal(size=rows).astype(np.float32),
        "terminals": generator.random(rows) < 0.03,
        "timeouts": generator.random(rows) < 0.03,
    }
    arrays["timeouts"] &= ~arrays["terminals"]
    kept = [i for i in range(rows - 1) if not arrays["timeouts"][i]]
    t = read_states(write(arrays)).transitions
    np.testing.assert_array_equal(t.observation, arrays["observations"][kept])
    np.testing.assert_array_equal(t.reward, arrays["rewards"][kept])
    np.testing.assert_array_equal(t.terminal, arrays["terminals"][kept])
    lives = ~t.terminal
    usual = arrays["observations"][np.array(kept) + 1]
    np.testing.assert_array_equal(t.next_observation[lives], usual[lives])


def test_missing_timeouts_of_a_known_environment_are_cut_at_the_horizon(write):
    rows = 1050
    generator = np.random.default_rng(0)
    arrays = {
        "observations": generator.normal(size=(rows, 39)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 28)).astype(np.float32),
        "rewards": np.ones(rows, np.float32),
        "terminals": np.arange(rows) == 250,
    }
    data = read_states(write(arrays), name="door-human")
    np.testing.assert_array_equal(data.episode_lengths, [200, 51, 200, 200, 200, 199])


def test_maze2d_is_one_endless_trajectory(write):
    rows = 700
    generator = np.random.default_rng(0)
    arrays = {
        "observations": generator.normal(size=(rows, 4)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "rewards": np.ones(rows, np.float32),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.zeros(rows, bool),
    }
    data = read_states(write(arrays), name="maze2d-umaze")
    np.testing.assert_array_equal(data.episode_lengths, [300, 300, 100])
    assert data.rows == 697


def test_antmaze_goes_on_after_its_terminals(write):
    rows = 30
    generator = np.random.default_rng(0)
    arrays = {
        "observations": generator.normal(size=(rows, 29)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 8)).astype(np.float32),
        "rewards": np.isin(np.arange(rows), [4, 5, 6]).astype(np.float32),
        "terminals": np.isin(np.arange(rows), [4, 5, 6]),
        "timeouts": np.isin(np.arange(rows), [14, 29]),
    }
    data = read_states(write(arrays), name="antmaze-umaze")
    np.testing.assert_array_equal(data.episode_lengths, [15, 15])
    np.testing.assert_array_equal(data.episode_returns, [1, 0])  # an evaluation would stop there
    assert data.mean_score == 50
    np.testing.assert_array_equal(data.transitions.terminal.nonzero()[0], [4, 5, 6])
    following = arrays["observations"][5]
    np.testing.assert_array_equal(data.transitions.next_observation[4], following)


def test_source_comes_from_the_file_alone(write, arrays):
    assert read_states(write(arrays)).source == "yours"
    collected = {"source": "collected", "dataset": "hopper-random"}
    path = write(hopper(), attributes=collected)
    data = read_states(path)
    assert (data.source, data.name, data.environment) == ("collected", "hopper-random", "hopper")
    assert data.mean_score == pytest.approx((data.mean_return + 20.272305) / 32.54572305)
    # A collected set stays one, wherever it lies.
    assert read_states(path, name="hopper-random", official=True).source == "collected"
    other = read_states(path, name="hopper-medium")
    assert any("'hopper-random'" in warning for warning in other.warnings)


def test_official_file_name_gives_the_environment_only(write):
    data = read_states(write(hopper(), name="hopper_medium-v2.hdf5"))
    assert (data.source, data.name, data.environment) == ("yours", "hopper-medium", "hopper")


def test_a_file_of_another_robot_is_refused(write, arrays):
    with pytest.raises(DataError, match="3 and 2 values a row, but hopper has 11 and 3"):
        read_states(write(arrays), name="hopper-medium")


def hopper(rows=40):
    generator = np.random.default_rng(0)
    return {
        "observations": generator.normal(size=(rows, 11)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (rows, 3)).astype(np.float32),
        "rewards": np.ones(rows, np.float32),
        "terminals": np.arange(rows) % 13 == 12,
        "timeouts": np.arange(rows) == rows - 1,
    }


def test_to_device_and_spec(write, arrays):
    data = read_states(write(arrays))
    dataset = data.to_device(validation_fraction=0.34)
    assert dataset.transitions.observation.shape == (60, 3)
    assert dataset.validation_rows.shape == (20,) and dataset.training_rows.shape == (40,)
    assert (data.spec.observation_size, data.spec.action_size) == (3, 2)
    np.testing.assert_allclose(
        data.spec.observation_mean, arrays["observations"].mean(0), atol=1e-6
    )
