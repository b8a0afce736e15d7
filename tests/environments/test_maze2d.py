"""maze2d against physics that was written down elsewhere: plain sums, and another package."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from shared.environments.maze2d import MAZES, Maze2D
from shared.environments.simulators import make_environment
from shared.environments.tasks import ENVIRONMENTS

TASKS = [name for name in ENVIRONMENTS if name.startswith("maze2d")]
STEPS = 1000


class Point(NamedTuple):
    position: np.ndarray
    velocity: np.ndarray


def plain_step(point: Point, action: np.ndarray) -> Point:
    """Newton's law for the ball, away from walls; damping is implicit in MuJoCo's Euler step."""
    h, damping, mass = 0.01, 1.0, 1000 * 4 / 3 * math.pi * 0.1**3
    velocity = np.clip(point.velocity, -5, 5)
    acceleration = (100 * np.clip(action, -1, 1) - damping * velocity) / (mass + h * damping)
    velocity = velocity + h * acceleration
    return Point(point.position + h * velocity, velocity)


def test_the_open_maze_is_newtons_law():
    task = Maze2D("medium", dense=False, horizon=STEPS)
    task.reset(seed=0)
    middle = np.array([1.3, 1.3])  # of the open square of cells (1..2, 1..2)
    point = Point(middle - 0.3, np.array([7.0, -2.0]))  # the first is above the limit of 5
    task.set_state(*point)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        pull = 8 * (middle - point.position) - 2 * point.velocity
        action = pull + rng.normal(0, 1.5, 2)  # beyond ±1 now and then
        point = plain_step(point, action)
        observation = task.step(action)[0]
        np.testing.assert_allclose(observation, np.concatenate(point), rtol=0, atol=1e-9)
        assert np.abs(point.position - middle).max() < 0.85  # so no wall was touched


@pytest.mark.parametrize("size", MAZES)
def test_walls_are_those_of_pointmaze_in_another_frame(size):
    """gymnasium-robotics' own ball and walls, x along the columns and y up the rows.

    Its margins lie on the ball and on the walls; they are summed today where D4RL's MuJoCo
    took the larger one, so the ball's is taken away.
    """
    from gymnasium_robotics.envs.maze.point_maze import PointMazeEnv

    maze, _ = MAZES[size]
    grid = [[int(x == "#") for x in row] for row in maze.rows]
    other = PointMazeEnv(maze_map=grid)
    other.reset(seed=0)
    ball = other.model.geom("particle_geom")
    other.model.geom_margin[ball.id] = 0.0

    def to_other(first: float, second: float) -> np.ndarray:
        return np.array([second, -first])

    offset = np.array([0.7 - maze.width / 2, maze.height / 2 - 0.7])
    task = Maze2D(size, dense=False, horizon=STEPS)
    observation, _ = task.reset(seed=1)
    other.point_env.set_state(to_other(*observation[:2]) + offset, to_other(*observation[2:]))
    rng, touching = np.random.default_rng(2), 0
    for t in range(STEPS):
        if t % 40 == 0:
            action = rng.uniform(-1.5, 1.5, 2)  # long pushes, into walls and along them
        observation = task.step(action)[0]
        found = other.step(to_other(*action))[0]["observation"]
        expected = [*to_other(*observation[:2]) + offset, *to_other(*observation[2:])]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        touching += task.data.ncon > 1  # the floor always touches
    other.close()
    assert touching > 100


def test_contact_begins_at_two_millimetres():
    """D4RL's margin; were it summed over ball and wall it would be four."""
    task = Maze2D("umaze", dense=False, horizon=1)
    for gap, contacts in ((0.0015, 2), (0.0025, 1)):
        # the upper wall of cell (1, 1) ends at 1.5 in the world, where the ball is at a + 1.2
        task.set_state(np.array([1.5 + 0.1 + gap - 1.2, 0.8]), np.zeros(2))
        assert task.data.ncon == contacts


@pytest.mark.parametrize("name", TASKS)
def test_starts_rewards_and_ends(name):
    catalogued, task = ENVIRONMENTS[name], make_environment(name)
    assert (task.observation_size, task.action_size) == (4, 2)
    goal = {"umaze": (1, 1), "medium": (6, 6), "large": (7, 9)}[name.split("-")[1]]
    assert task.maze.is_free(goal)
    starts = np.stack([task.reset(seed=i)[0] for i in range(300)])
    cells = np.round(starts[:, :2]).astype(int)
    assert np.abs(starts[:, :2] - cells).max() <= 0.1
    assert {tuple(x) for x in cells.tolist()} == set(task.maze.cells("."))
    assert 0.08 < starts[:, 2:].std() < 0.12
    np.testing.assert_array_equal(task.reset(seed=7)[0], starts[7])

    flags = []
    for _ in range(catalogued.horizon):
        observation, reward, terminal, timeout, _ = task.step(task.np_random.uniform(-1, 1, 2))
        distance = np.linalg.norm(observation[:2] - goal)
        expected = np.exp(-distance) if "dense" in name else float(distance <= 0.5)
        assert reward == pytest.approx(expected)
        assert not terminal
        flags.append(timeout)
    assert flags == [False] * (catalogued.horizon - 1) + [True]


def test_the_radius_is_one_half_and_closed():
    task = Maze2D("umaze", dense=False, horizon=1)
    assert [task.reward_at(np.array([1 + d, 1])) for d in (0, 0.46, 0.5, 0.5001)] == [1, 1, 1, 0]
    task = Maze2D("umaze", dense=True, horizon=1)
    assert task.reward_at(np.array([1.0, 3.0])) == pytest.approx(math.exp(-2))
