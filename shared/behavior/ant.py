"""The behaviour policy of antmaze: a planner, and an ant that walks where it is told.

The planner follows D4RL's protocol (Fu et al., 2020, section 5).  In every episode the
ant starts somewhere, a goal is drawn, and a shortest way through the cells leads there:

                            start                      goal
    fixed (umaze)           the start cell             the goal cell
    play (medium, large)    any cell but the goals     one of a few hand-picked cells
    diverse                 any cell                   any cell

Actions carry noise of 0.2 N(0, 1); an episode lasts `horizon` steps, reaching its goal
ends nothing.  Rewards and terminals are those of the evaluation's goal (its mean, 0.75 m
off the cell's middle), judged on what the action led to, whatever the ant was after.

The walker is where this differs from D4RL, whose ant was trained with reinforcement
learning: ours is a trot, written down.  Legs move in diagonal pairs; in its stance a leg
presses down and swings its hip with the share sin(leg − direction) of the stride, which
pushes the body into any direction without turning it; then it lifts and swings back.

    hip    = −stride · sin(leg − direction) · cos(phase)
    ankle  = middle + lift · sin(phase)
    torque = stiffness · (wanted − angle) − damping · velocity

The five numbers and the period were found by a cross-entropy search over 120 gaits for
speed in the slowest of three directions: 0.75 m/s, 0.57 m/s with the noise.  The phase
runs on a clock that observations do not hold, so a policy has to read it off the joints.
"""

import math
from typing import NamedTuple

import numpy as np

from shared.behavior.rollout import Episode
from shared.data.catalog import CATALOG
from shared.environments.antmaze import FORCE, MAZES, RADIUS, START, AntMaze, cell_middle, cell_of
from shared.environments.mazes import Cell, Maze

NOISE = 0.2
GOALS: dict[str, tuple[Cell, ...]] = {
    "umaze": ((3, 1),),
    "medium": ((2, 6), (5, 1), (6, 5)),
    "large": ((1, 6), (3, 5), (3, 10), (5, 2), (7, 4), (7, 6), (7, 9)),
}
"""The hand-picked goal cells of the sets that are not diverse."""
_PASSED = 0.8  # metres from a waypoint at which the next one is taken
_KEYS = ("observations", "actions", "next_observations", "infos/goal")


class Plan(NamedTuple):
    """Where episodes of a data set start and lead to."""

    starts: tuple[Cell, ...]
    goals: tuple[Cell, ...]


class Gait(NamedTuple):
    """Angles in radians, the period in steps of 0.1 s, torques in N·m."""

    period: float = 11.0
    stride: float = 1.15
    middle: float = math.radians(50) + 0.08
    lift: float = 0.45
    stiffness: float = 23.0
    damping: float = 4.2


# Legs 1 to 4; on those that point to −x the ankle bends the other way.
_LEG = np.radians([45.0, 135.0, 225.0, 315.0])
_PHASE = np.array([0.0, np.pi, 0.0, np.pi])
_BEND = np.array([1.0, -1.0, -1.0, 1.0])
_MOTORS = [3, 0, 1, 2]  # the motors' order of the legs
_GAIT = Gait()


def policy_of(name: str) -> str:
    """The policy that records an antmaze data set: `ant-fixed`, `ant-play` or `ant-diverse`."""
    kind = name.split("-")[2:]
    return f"ant-{kind[0] if kind else 'fixed'}"


DATASETS = tuple(name for name, entry in CATALOG.items() if entry.suite == "antmaze")
POLICIES = ("ant-fixed", "ant-play", "ant-diverse")


def make_plan(size: str, policy: str) -> Plan:
    """Starts and goals of a maze for one of `POLICIES`."""
    free, goals = MAZES[size][0].cells("."), GOALS[size]
    if policy == "ant-diverse":
        return Plan(free, free)
    if policy == "ant-play":
        return Plan(tuple(cell for cell in free if cell not in goals), goals)
    return Plan((START,), goals)


class AntWalker:
    """Walks to one goal after another; `aim` sets the next."""

    def __init__(self, maze: Maze, generator: np.random.Generator):
        self._maze, self._way = maze, [np.zeros(2)]
        self._clock = float(generator.uniform(0, _GAIT.period))

    def aim(self, position: np.ndarray, goal: np.ndarray) -> None:
        """Plan the way from `position` (2,) to `goal` (2,), both in metres."""
        *between, _ = self._maze.path(cell_of(position), cell_of(goal))
        self._way = [*map(cell_middle, between), goal]

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action (8,) in [-1, 1] for an observation (29,), without noise."""
        ahead = self._way[0] - observation[:2]
        if np.linalg.norm(ahead) < _PASSED and len(self._way) > 1:
            del self._way[0]
            ahead = self._way[0] - observation[:2]
        w, x, y, z = observation[3:7]
        heading = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        direction = math.atan2(ahead[1], ahead[0]) - heading
        phase = 2 * np.pi * self._clock / _GAIT.period + _PHASE
        self._clock += 1
        hip = -_GAIT.stride * np.sin(_LEG - direction) * np.cos(phase)
        ankle = _BEND * (_GAIT.middle + _GAIT.lift * np.sin(phase))
        angle, velocity = observation[7:15].reshape(4, 2), observation[21:29].reshape(4, 2)
        wanted = np.stack([hip, ankle], axis=1)
        torque = _GAIT.stiffness * (wanted - angle) - _GAIT.damping * velocity
        return np.clip(torque[_MOTORS].ravel() / FORCE, -1, 1)


def run_trip(task: AntMaze, policy: str, seed: np.random.SeedSequence) -> Episode:
    """Record one episode of `task.horizon` rows.

    Arguments:
        task: is reset here.
        policy: one of `POLICIES`.
        seed: start, goal and noise depend on it and on nothing else.

    Returns:
        Rows in D4RL's names and types, as `rollout.run_episode`, and `infos/goal`,
        where the ant was sent.
    """
    generator = np.random.default_rng(seed)
    task.reset(seed=int(seed.generate_state(1)[0]))
    plan = make_plan(task.size, policy)
    start, goal = (_draw(cells, generator) for cells in plan)
    if policy != "ant-fixed":
        task.move_to(start)
    observation = task.observe()
    walker = AntWalker(task.maze, generator)
    walker.aim(observation[:2], goal)
    columns: dict[str, list] = {key: [] for key in _KEYS}
    for _ in range(task.horizon):
        noisy = walker.act(observation) + NOISE * generator.standard_normal(8)
        action = np.clip(noisy, -1, 1).astype(np.float32)
        following = task.step(action)[0]
        row = (observation, action, following, goal)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
        observation = following
    rows = {key: np.array(value, np.float32) for key, value in columns.items()}
    return rows | _judged(task, rows)


def _draw(cells: tuple[Cell, ...], generator: np.random.Generator) -> np.ndarray:
    """A place near the middle of one of the cells, as D4RL's starts."""
    cell = cells[generator.integers(len(cells))]
    return cell_middle(cell) + generator.uniform(0, 1, 2)


def _judged(task: AntMaze, rows: Episode) -> Episode:
    goal = cell_middle(MAZES[task.size][1]) + 0.75
    distance = np.linalg.norm(rows["next_observations"][:, :2] - goal, axis=1)
    reached = distance <= RADIUS
    return {
        "rewards": reached.astype(np.float32),
        "terminals": reached,
        "timeouts": np.arange(len(reached)) == len(reached) - 1,
        "infos/qpos": rows["observations"][:, :15],
        "infos/qvel": rows["observations"][:, 15:],
    }
