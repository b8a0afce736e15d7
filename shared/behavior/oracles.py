"""Plays OGBench's recordings anew, with the scripted oracles that its package brings.

To the protocol of its authors (Park et al., 2025, appendix; the constants are those of the commands
that they published with the data):

    play      a planned oracle carries out one random piece of work after the other, with noise of
              0.1, smoothed in time, in the plan
    noisy     an oracle that looks at the state, with Gaussian noise on the action whose strength
              is drawn anew for every trajectory, U(0, 0.1), tripled for the yaw and tenfold for the
              gripper; one action in ten (in puzzles in five) is uniform
    navigate  a point walks from a random cell to one goal after the other, at full speed into the
              next cell of a shortest path, with noise of 0.5 on the action; goals are cells that
              are no corridor
    stitch    the same to one goal four cells away, where it stays

A trajectory never ends before its last row, which has no successor; no row knows of a task.
Scenes in which the cube slips under the drawer or over the edge are played again, as there.
Ants and humanoids need policies that the package does not bring, so they are not recorded.

Episodes depend on their seed alone, although the oracles draw from NumPy's global generator.
"""

from functools import partial
from typing import Any

import numpy as np

from shared.behavior.rollout import Episode
from shared.environments import ogbench_names
from shared.environments.ogbench_simulator import GlobalRandom, make

POLICY = "oracle"
NOISE = {"play": 0.1, "noisy": 0.1, "navigate": 0.5, "stitch": 0.5}
"""Strength of the noise, in units of the action (play: of the largest movement)."""
DATASETS = tuple(
    name
    for name in ogbench_names.FILES
    if name.startswith(("pointmaze-", "cube-", "scene-", "puzzle-"))
)
_STACKED = {"single": (0.0, 0.0), "double": (0.0, 0.25), "triple": (0.05, 0.35)} | {
    "quadruple": (0.1, 0.5)
}
"""Bounds of the share of cubes that are to be put on another, drawn for every trajectory."""
_STEPS_APART = 4
_ACTION_NOISE = np.array([1.0, 1.0, 1.0, 3.0, 10.0])


class Player:
    """Plays the trajectories of one data set."""

    def __init__(self, name: str, rows: int | None = None):
        """Make the simulator of a data set.

        Arguments:
            name: one of `DATASETS`.
            rows: of a trajectory; None is the benchmark's number.
        """
        found = ogbench_names.parse(name)
        assert found is not None
        self.domain, self.kind = found.domain, found.kind
        self.rows = rows or ogbench_names.FILES[found.file][1]
        options = {} if self.domain.startswith("pointmaze") else {"mode": "data_collection"}
        self.task = make(f"{found.file}-v0", terminate_at_goal=False, **options)
        self._begin = _Walk if not options else partial(_Work, oracles=self._oracles())

    def play(self, seed: np.random.SeedSequence) -> Episode:
        """One trajectory.

        Arguments:
            seed: all of it depends on it and on nothing else.

        Returns:
            `observations`, `actions` and the simulator's state with every observation
            (`infos/qpos`, `infos/qvel`, `infos/button_states`) in float32, and `terminals` (none)
            and `timeouts` (the last row, which has no successor).
        """
        generator = np.random.default_rng(seed)
        with GlobalRandom(int(seed.generate_state(1)[0]))():
            while True:
                rows = self._trajectory(generator)
                if self.domain != "scene" or _is_sound(rows["infos/qpos"][:, 14:17]):
                    return rows

    def _trajectory(self, generator: np.random.Generator) -> Episode:
        work = self._begin(self, generator)
        columns: dict[str, list] = {}
        for _ in range(self.rows):
            observation, action = work.observation, np.clip(work.act(), -1, 1)
            info = work.step(action.astype(np.float32))
            row = {"observations": observation, "actions": action}
            row |= {"infos/qpos": info["prev_qpos"], "infos/qvel": info["prev_qvel"]}
            if "prev_button_states" in info:
                row["infos/button_states"] = info["prev_button_states"]
            for key, value in row.items():
                columns.setdefault(key, []).append(value)
        rows = {key: np.array(value, np.float32) for key, value in columns.items()}
        ends = np.arange(self.rows) == self.rows - 1
        return rows | {"terminals": np.zeros_like(ends), "timeouts": ends}

    def _oracles(self) -> dict[str, Any]:
        """The oracle of every piece of work that this scene has, by its name."""
        import importlib

        style = "plan" if self.kind == "play" else "markov"
        domain = self.domain.partition("-")[0]
        works = {"cube": ("cube",), "puzzle": ("button",)}.get(
            domain, ("cube", "button", "drawer", "window")
        )
        found = {}
        for work in works:
            module = importlib.import_module(f"ogbench.manipspace.oracles.{style}.{work}_{style}")
            kind = getattr(module, f"{work.capitalize()}{style.capitalize()}Oracle")
            options = {"gripper_always_closed": True} if domain == "puzzle" else {}
            if style == "markov" and domain == "scene" and work == "cube":
                options["max_step"] = 100
            found[work] = kind(env=self.task, **options)
        return found


class _Work:
    """A trajectory of the robot arm."""

    def __init__(self, player: Player, generator: np.random.Generator, oracles: dict[str, Any]):
        self._task, self._oracles, self._generator = player.task, oracles, generator
        self._noisy = player.kind == "noisy"
        self._random = 0.0
        if self._noisy:
            self._random = 0.2 if player.domain.startswith("puzzle") else 0.1
        low, high = _STACKED.get(player.domain.partition("-")[2], (0.5, 0.5))
        self._stacked = float(generator.uniform(low, high))
        self._strength = float(generator.uniform(0, NOISE["noisy"]))
        seed = int(generator.integers(1 << 31))
        self.observation, self._info = self._task.reset(seed=seed)
        self._take(self.observation, self._info)

    def _take(self, observation: np.ndarray, info: dict) -> None:
        self._oracle = self._oracles[info["privileged/target_task"]]
        self._oracle.reset(observation, info)

    def act(self) -> np.ndarray:
        """The next action, not clipped."""
        if self._generator.random() < self._random:
            return self._generator.uniform(-1, 1, len(_ACTION_NOISE))
        action = np.array(self._oracle.select_action(self.observation, self._info))
        if self._noisy:
            action += self._strength * _ACTION_NOISE * self._generator.standard_normal(len(action))
        return action

    def step(self, action: np.ndarray) -> dict:
        """Act; a finished piece of work is followed by another one."""
        self.observation, _, _, _, self._info = self._task.step(action)
        if self._oracle.done:
            self._take(*self._task.set_new_target(p_stack=self._stacked))
        return self._info


class _Walk:
    """A trajectory of the point in a maze."""

    def __init__(self, player: Player, generator: np.random.Generator):
        self._task, self._generator = player.task, generator
        self._goes_on = player.kind == "navigate"
        maze = self._task.maze_map
        cells = [(int(i), int(j)) for i, j in np.argwhere(maze == 0)]
        self._goals = [cell for cell in cells if not _is_corridor(maze, *cell)]
        start = self._draw(cells)
        goal = self._draw(self._goals if self._goes_on else _apart(maze, start) or [start])
        task = {"task_info": {"init_ij": start, "goal_ij": goal}}
        self.observation, _ = self._task.reset(seed=int(generator.integers(1 << 31)), options=task)

    def _draw(self, cells: list[tuple[int, int]]) -> tuple[int, int]:
        return cells[self._generator.integers(len(cells))]

    def act(self) -> np.ndarray:
        """The next action, not clipped."""
        position = self._task.get_xy()
        ahead = self._task.get_oracle_subgoal(position, self._task.cur_goal_xy)[0] - position
        direction = ahead / (np.linalg.norm(ahead) + 1e-6)
        return direction + NOISE["navigate"] * self._generator.standard_normal(2)

    def step(self, action: np.ndarray) -> dict:
        """Act; a goal that is reached is followed by another one."""
        self.observation, _, _, _, info = self._task.step(action)
        if info["success"] and self._goes_on:
            self._task.set_goal(self._draw(self._goals))
        return info


def _is_corridor(maze: np.ndarray, i: int, j: int) -> bool:
    """Is this free cell one of a straight way, with walls on both sides?"""
    along, across = maze[[i - 1, i + 1], j], maze[i, [j - 1, j + 1]]
    return not along.any() and bool(across.all()) or not across.any() and bool(along.all())


def _apart(maze: np.ndarray, start: tuple[int, int]) -> list[tuple[int, int]]:
    """The cells whose shortest way from `start` has four steps."""
    seen, ring = {start}, [start]
    for _ in range(_STEPS_APART):
        near = [(i + a, j + b) for i, j in ring for a, b in ((-1, 0), (0, -1), (1, 0), (0, 1))]
        ring = [cell for cell in dict.fromkeys(near) if maze[cell] == 0 and cell not in seen]
        seen |= set(ring)
    return ring


def _is_sound(cube: np.ndarray) -> bool:
    """Did the cube (rows, 3), in metres, stay on the table?"""
    y, z = cube[:, 1], cube[:, 2]
    under_drawer = (y <= -0.3) & ((z < 0.06) | (z > 0.08))
    return not ((y >= 0.29).any() or under_drawer.any())
