"""maze2d's collected sets: D4RL's form, rewards of the fixed goal, goals that are reached."""

import h5py
import numpy as np
import pytest

from shared.behavior.record import record
from shared.behavior.waypoints import TASKS, WaypointController
from shared.data.catalog import CATALOG
from shared.data.reader import read_states
from shared.environments.maze2d import Maze2D
from shared.environments.mazes import LARGE, Maze
from shared.loading.request import load_data

ROWS = 6500


@pytest.fixture(scope="module")
def umaze(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "maze2d-umaze.hdf5"
    return record("maze2d-umaze", ROWS, seed=3, path=path)


@pytest.fixture(scope="module")
def rows(umaze):
    with h5py.File(umaze.path) as file:
        keys = [*[k for k in file if k != "infos"], *(f"infos/{k}" for k in file["infos"])]
        return {key: file[key][:] for key in keys}


def test_form(umaze, rows):
    widths = {"observations": 4, "actions": 2, "next_observations": 4}
    widths |= {"infos/qpos": 2, "infos/qvel": 2, "infos/goal": 2}
    for key, width in widths.items():
        assert rows[key].shape == (ROWS, width) and rows[key].dtype == np.float32, key
    assert set(rows) == {*widths, "rewards", "terminals", "timeouts"}
    assert np.abs(rows["actions"]).max() <= 1 and not rows["terminals"].any()
    assert np.flatnonzero(rows["timeouts"]).tolist() == [*range(299, ROWS, 300), ROWS - 1]
    with h5py.File(umaze.path) as file:
        assert file.attrs["environment"] == "Maze2D" and file.attrs["source"] == "collected"
        assert '"action_noise": 0.5' in file.attrs["segments"]


def test_rewards_are_those_of_the_fixed_goal_at_the_rows_own_observation(rows):
    distance = np.linalg.norm(rows["observations"][:, :2].astype(float) - (1, 1), axis=1)
    np.testing.assert_array_equal(rows["rewards"], distance <= 0.5)
    assert 0.01 < rows["rewards"].mean() < 0.3


def test_one_trajectory_goes_on_through_goals_and_timeouts(rows):
    seams = (rows["next_observations"][:-1] != rows["observations"][1:]).any(axis=1)
    # a walk is 7 horizons of 300 rows
    assert np.flatnonzero(seams).tolist() == [2099, 4199, 6299]
    replayed = Maze2D("umaze", dense=False, horizon=300)
    for t in (0, 299, 2100, 6000):
        replayed.set_state(rows["infos/qpos"][t], rows["infos/qvel"][t])
        found = replayed.step(rows["actions"][t])[0]
        np.testing.assert_allclose(found, rows["next_observations"][t], atol=1e-5)


def test_goals_are_reached(rows):
    changes = np.flatnonzero((np.diff(rows["infos/goal"], axis=0) != 0).any(axis=1))
    inside = changes[~np.isin(changes, [2099, 4199, 6299])]
    position, goal = rows["observations"][inside, :2], rows["infos/goal"][inside]
    assert len(inside) > 40
    assert (np.linalg.norm(position - goal, axis=1) < 0.15).mean() > 0.95


def test_same_bytes_for_two_workers_and_another_reward(umaze, rows, tmp_path):
    two = record("maze2d-umaze", ROWS, seed=3, path=tmp_path / "two.hdf5", workers=2)
    assert two.sha256 == umaze.sha256
    record("maze2d-umaze-dense", ROWS, seed=3, path=tmp_path / "dense.hdf5")
    with h5py.File(tmp_path / "dense.hdf5") as file:
        np.testing.assert_array_equal(file["actions"][:], rows["actions"])
        distance = np.linalg.norm(rows["observations"][:, :2] - (1, 1), axis=1)
        np.testing.assert_allclose(file["rewards"][:], np.exp(-distance), rtol=1e-5)


def test_read_back_without_a_fault_or_a_lost_row(umaze):
    data = read_states(umaze.path)
    assert (data.name, data.environment, data.rows) == ("maze2d-umaze", "maze2d-umaze", ROWS)
    assert data.source == "collected" and not data.warnings
    assert set(data.episode_lengths[:-1]) == {300}


def test_found_by_name(tmp_path):
    told = {"source": "collected", "data_dir": tmp_path, "rows": 900}
    data = load_data("maze2d-large", **told)
    assert data.path == tmp_path / "collected" / "maze2d-large-900-seed0.hdf5"
    assert data.rows == 900 and "not D4RL" in data.note


def test_every_maze2d_set_can_be_recorded():
    assert set(TASKS) == {name for name, entry in CATALOG.items() if entry.suite == "maze2d"}


def test_the_planner_finds_shortest_ways():
    """Against all distances, relaxed in NumPy, for many pairs of cells."""
    free = LARGE.cells(".")
    index = {cell: k for k, cell in enumerate(free)}
    distance = np.full((len(free), len(free)), 10_000)
    np.fill_diagonal(distance, 0)
    for (i, j), k in index.items():
        for neighbor in ((i + 1, j), (i, j + 1)):
            if neighbor in index:
                distance[k, index[neighbor]] = distance[index[neighbor], k] = 1
    for k in range(len(free)):
        distance = np.minimum(distance, distance[:, [k]] + distance[[k]])
    for start in free:
        for goal in free[::6]:
            way = LARGE.path(start, goal)
            assert len(way) == max(1, distance[index[start], index[goal]]) and way[-1] == goal
            cells = [start, *way]
            jumps = np.abs(np.diff(cells, axis=0)).sum(axis=1)
            assert all(LARGE.is_free(cell) for cell in way) and (jumps <= 1).all()
    with pytest.raises(ValueError, match="no way"):
        Maze((".#.",)).path((0, 0), (0, 2))


def test_the_controller_stops_at_nothing_but_the_goal():
    controller = WaypointController(LARGE, np.random.default_rng(0))
    controller.aim(np.array([1.0, 1.0]), (1, 3))
    at_first_waypoint = np.array([0.9, 1.9])
    action, reached = controller.act(at_first_waypoint, np.zeros(2))
    assert not reached and np.abs(action).max() <= 1
    action, reached = controller.act(np.array([1.0, 2.95]), np.zeros(2))
    assert reached and action[1] == pytest.approx(0.5)
