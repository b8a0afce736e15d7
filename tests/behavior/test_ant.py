"""antmaze's collected sets: an ant that arrives, D4RL's form, rewards of the evaluation's goal."""

import h5py
import numpy as np
import pytest

from shared.behavior.ant import DATASETS, GOALS, NOISE, AntWalker, make_plan, policy_of
from shared.behavior.record import dataset_names, record
from shared.data.catalog import CATALOG
from shared.data.reader import read_states
from shared.environments.antmaze import AntMaze, cell_middle, cell_of
from shared.environments.simulators import make_environment

ROWS = 2500


@pytest.fixture(scope="module")
def diverse(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "antmaze.hdf5"
    return record("antmaze-umaze-diverse", ROWS, seed=1, path=path)


@pytest.fixture(scope="module")
def rows(diverse):
    with h5py.File(diverse.path) as file:
        keys = [*[k for k in file if k != "infos"], *(f"infos/{k}" for k in file["infos"])]
        return {key: file[key][:] for key in keys}


def test_form(diverse, rows):
    widths = {"observations": 29, "actions": 8, "next_observations": 29}
    widths |= {"infos/qpos": 15, "infos/qvel": 14, "infos/goal": 2}
    for key, width in widths.items():
        assert rows[key].shape == (ROWS, width) and rows[key].dtype == np.float32, key
    assert set(rows) == {*widths, "rewards", "terminals", "timeouts"}
    assert np.abs(rows["actions"]).max() <= 1
    assert np.flatnonzero(rows["timeouts"]).tolist() == [699, 1399, 2099, ROWS - 1]
    with h5py.File(diverse.path) as file:
        assert file.attrs["environment"] == "AntMaze" and file.attrs["source"] == "collected"
        assert '"policy": "ant-diverse"' in file.attrs["segments"]


def test_the_ant_goes_where_it_is_sent(rows):
    reached = []
    for end in (699, 1399, 2099):
        part = slice(end - 699, end + 1)
        goal = rows["infos/goal"][part]
        assert (goal == goal[0]).all()
        distance = np.linalg.norm(rows["observations"][part, :2] - goal, axis=1)
        reached.append(distance.min() < 0.5)
    assert all(reached)


def test_rewards_and_terminals_are_those_of_the_evaluations_goal(rows):
    distance = np.linalg.norm(rows["next_observations"][:, :2] - (0.75, 8.75), axis=1)
    np.testing.assert_array_equal(rows["terminals"], distance <= 0.5)
    np.testing.assert_array_equal(rows["rewards"], rows["terminals"])


def test_rows_replay_in_the_simulator(rows):
    task = AntMaze("umaze", horizon=700)
    errors = []
    for t in range(0, ROWS - 1, 40):
        task.set_state(rows["infos/qpos"][t], rows["infos/qvel"][t])
        found = task.step(rows["actions"][t])[0]
        errors.append(np.abs(found - rows["next_observations"][t]).max())
    assert np.median(errors) < 1e-4  # float32 states; a contact that just misses is more


def test_same_bytes_for_two_workers_and_no_fault(diverse, tmp_path):
    two = record("antmaze-umaze-diverse", ROWS, seed=1, path=tmp_path / "two.hdf5", workers=2)
    assert two.sha256 == diverse.sha256
    data = read_states(two.path)
    assert (data.name, data.environment) == ("antmaze-umaze-diverse", "antmaze-umaze")
    assert data.rows == ROWS and data.source == "collected" and not data.warnings
    assert set(data.episode_returns) <= {0.0, 1.0}


def test_the_walker_reaches_the_evaluations_goals():
    """With the noise of the data; 60 % is what one should ask for."""
    task, reached = make_environment("antmaze-umaze"), 0
    for seed in range(4):
        observation, _ = task.reset(seed=seed)
        generator = np.random.default_rng(seed)
        walker = AntWalker(task.maze, generator)
        walker.aim(observation[:2], task.goal)
        over = False
        while not over:
            action = walker.act(observation) + NOISE * generator.standard_normal(8)
            observation, _, terminal, timeout, _ = task.step(action)
            over = terminal or timeout
        reached += terminal
    assert reached >= 3


def test_starts_and_goals_of_the_six_sets():
    assert set(DATASETS) == {n for n, e in CATALOG.items() if e.suite == "antmaze"}
    assert set(DATASETS) <= set(dataset_names())
    fixed = make_plan("umaze", policy_of("antmaze-umaze"))
    assert fixed == (((1, 1),), ((3, 1),))
    play = make_plan("large", policy_of("antmaze-large-play"))
    assert play.goals == GOALS["large"] and not set(play.starts) & set(play.goals)
    diverse = make_plan("medium", policy_of("antmaze-medium-diverse"))
    assert len(diverse.starts) == len(diverse.goals) == 26


def test_cells_and_metres():
    for cell in ((1, 1), (3, 1), (7, 9)):
        for offset in ((0, 0), (1.9, -1.9), (-1.9, 1.9)):
            assert cell_of(cell_middle(cell) + offset) == cell
