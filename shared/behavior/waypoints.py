"""The behaviour policy of maze2d: a planner's waypoints, followed by a controller.

To D4RL's protocol (Fu et al., 2020, section 5): one long walk.  A goal is drawn
among the free cells; its way is a shortest path through the cells, and

    action = clip(clip(10 (waypoint − position) − velocity, ±1) + 0.5 N(0, 1), ±1)

steers to one waypoint after the other (each passed within 0.1; D4RL's noise
option).  Waypoints are cells − U(0, 0.2), which is where D4RL's frame has their
middle; the last one is the goal's cell itself.  Where it is reached, or after
`horizon` steps, the next goal is drawn and the ball goes on.  The recorded reward
is not the walk's own: it is that of the task's fixed goal, judged on the
observation of the row, as in D4RL's files.

Goals are in `infos/goal` and cut nothing: to a policy that cannot see them they
are no event.  A timeout marks every `horizon`-th row, where D4RL's reader cuts its
own files, which have no flag at all; so an episode is as long as an evaluation and
its return compares with the reference returns.

Differences from D4RL: the walk starts afresh after some 2,000 rows, so that
parts of it can be recorded side by side; the row after a new goal holds the
ball's state then (D4RL's recorder repeats the one before); `timeouts` and
`next_observations` are there.
"""

import numpy as np

from shared.behavior.rollout import Episode
from shared.environments.maze2d import Maze2D
from shared.environments.mazes import Cell, Maze
from shared.environments.tasks import ENVIRONMENTS

POLICY = "waypoints"
TASKS = tuple(name for name, x in ENVIRONMENTS.items() if x.simulator == "Maze2D")
"""The tasks that it records; their data sets have the same names."""
NOISE = 0.5
_GAIN, _DAMPING, _REACHED = 10.0, 1.0, 0.1
_WALK_ROWS = 2000
_KEYS = ("observations", "actions", "rewards", "timeouts", "next_observations", "infos/goal")


class WaypointController:
    """Steers the ball to one goal; `aim` sets the next."""

    def __init__(self, maze: Maze, generator: np.random.Generator):
        self._maze, self._generator = maze, generator
        self._way: list[np.ndarray] = []

    def aim(self, position: np.ndarray, goal: Cell) -> None:
        """Plan the way from the ball's position (2,) to the cell `goal`."""
        start = int(round(position[0] + 0.2)), int(round(position[1] + 0.2))
        *between, last = self._maze.path(start, goal)
        self._way = [cell - self._generator.uniform(0, 0.2, 2) for cell in between]
        self._way.append(np.array(last, float))

    def act(self, position: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, bool]:
        """The action (2,) in [-1, 1] without noise, and whether the goal is reached."""
        distance = self._way[0] - position
        action = np.clip(_GAIN * distance - _DAMPING * velocity, -1, 1)
        passed = np.linalg.norm(distance) < _REACHED
        if passed and len(self._way) > 1:
            del self._way[0]
            return action, False
        return action, bool(passed)


def run_walk(task: Maze2D, seed: np.random.SeedSequence) -> Episode:
    """Record one walk: whole multiples of the horizon, about 2,000 rows.

    Arguments:
        task: is reset here.
        seed: start, goals and noise depend on it and on nothing else.

    Returns:
        Rows in D4RL's names and types, as `rollout.run_episode`, and `infos/goal`,
        the cell that was aimed at.
    """
    generator = np.random.default_rng(seed)
    controller = WaypointController(task.maze, generator)
    observation, _ = task.reset(seed=int(seed.generate_state(1)[0]))
    columns: dict[str, list] = {key: [] for key in _KEYS}
    goal, elapsed = _draw_goal(task.maze, generator), 0
    controller.aim(observation[:2], goal)
    for t in range(-(-_WALK_ROWS // task.horizon) * task.horizon):
        action, reached = controller.act(observation[:2], observation[2:])
        action = np.clip(action + NOISE * generator.standard_normal(2), -1, 1).astype(np.float32)
        following = task.step(action)[0]
        stored = observation.astype(np.float32)
        cut = (t + 1) % task.horizon == 0
        row = (stored, action, task.reward_at(stored[:2]), cut, following, goal)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
        observation, elapsed = following, elapsed + 1
        if reached or elapsed >= task.horizon:
            goal, elapsed = _draw_goal(task.maze, generator), 0
            controller.aim(observation[:2], goal)
    return _to_rows(columns)


def _draw_goal(maze: Maze, generator: np.random.Generator) -> Cell:
    free = maze.cells(".")
    return free[generator.integers(len(free))]


def _to_rows(columns: dict[str, list]) -> Episode:
    rows = {
        key: np.array(value, bool if key == "timeouts" else np.float32)
        for key, value in columns.items()
    }
    rows["terminals"] = np.zeros_like(rows["timeouts"])
    rows["infos/qpos"], rows["infos/qvel"] = np.split(rows["observations"], 2, axis=1)
    return rows
