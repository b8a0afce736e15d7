"""maze2d: a ball that is pushed through a maze to a fixed goal, in D4RL's frame.

The observation is (a, b, velocity of a, velocity of b) with a along the rows and
b along the columns.  Cell (i, j) of the maze is where (a, b) is near (i, j); its
middle is (i − 0.2, j − 0.2), because D4RL puts the ball's origin 0.2 off the
middle of cell (0, 0).  Starts and the goal are given by (i, j) all the same.

    physics    ball of radius 0.1 and density 1000, force 100 · action, damping 1,
               0.01 s a step, velocities clipped to ±5 before it
    start      a free cell + U(−0.1, 0.1), velocity 0.1 · N(0, 1)
    reward     sparse: 1 within 0.5 of the goal; dense: exp(−distance)
    end        never; cut after 300, 600 or 800 steps

The goal is not part of the observation.  gymnasium-robotics' PointMaze has another
frame, other starts and goals, and 0.45 for 0.5.

Contacts: D4RL's MuJoCo took the larger of two margins, today's adds them.  The
margin is on the walls alone here, which is 0.002 by either rule.

Source of the facts: D4RL (Fu et al., 2020), Apache-2.0.
"""

import math

import numpy as np

from shared.environments.mazes import LARGE, MEDIUM, UMAZE, Cell, Maze
from shared.environments.mujoco_task import MujocoTask, compile_model

MAZES: dict[str, tuple[Maze, Cell]] = {
    "umaze": (UMAZE, (1, 1)),
    "medium": (MEDIUM, (6, 6)),
    "large": (LARGE, (7, 9)),
}
"""Maze and goal of each size."""
RADIUS = 0.5
"""Distance from the goal within which the sparse reward is 1."""
_ORIGIN = 1.2  # where the ball is in the world when (a, b) = (0, 0); cell (0, 0) is at 1.0
_TOP_SPEED = 5.0


class Maze2D(MujocoTask):
    """One of the six maze2d tasks.

    Attributes:
        maze: the grid.
        goal: (a, b) of the goal.
        dense: the reward is exp(−distance), else 1 within `RADIUS`.
    """

    def __init__(self, size: str, *, dense: bool, horizon: int):
        """Build the task of a `size` among `MAZES`."""
        self.maze, self.goal = MAZES[size]
        self.dense = dense
        model = compile_model(model_xml(self.maze, self.goal))
        super().__init__(model, frame_skip=1, horizon=horizon)

    def reward_at(self, position: np.ndarray) -> float:
        """The reward of being at a `position` (2,)."""
        distance = math.dist(position, self.goal)
        return math.exp(-distance) if self.dense else float(distance <= RADIUS)

    def _start(self) -> None:
        free = self.maze.cells(".")
        cell = free[self.np_random.integers(len(free))]
        self.data.qpos[:] = cell + self.np_random.uniform(-0.1, 0.1, 2)
        self.data.qvel[:] = 0.1 * self.np_random.standard_normal(2)

    def _act(self, action: np.ndarray) -> np.ndarray:
        self.data.qvel.clip(-_TOP_SPEED, _TOP_SPEED, out=self.data.qvel)
        return action

    def _judge(self) -> tuple[float, bool]:
        return self.reward_at(self.data.qpos), False


def model_xml(maze: Maze, goal: Cell) -> str:
    """The MuJoCo model of a ball in a maze."""
    walls = "\n".join(
        f'    <geom type="box" pos="{i + 1} {j + 1} 0" size="0.5 0.5 0.2" material="wall"/>'
        for i, j in maze.cells("#")
    )
    middle = f"{(maze.height + 1) / 2} {(maze.width + 1) / 2}"
    distance = 1.3 * max(maze.height, maze.width)
    return f"""
<mujoco model="maze2d">
  <compiler inertiafromgeom="true" angle="radian"/>
  <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
  <visual>
    <global offwidth="480" offheight="480"/>
    <headlight ambient="0.3 0.3 0.3" diffuse="0.4 0.4 0.4" specular="0 0 0"/>
  </visual>
  <default>
    <joint damping="1" limited="false"/>
    <geom condim="1" density="1000" friction="0.5 0.1 0.1" margin="0.002"
          contype="2" conaffinity="1"/>
  </default>
  <asset>
    <material name="floor" rgba="0.25 0.3 0.35 1"/>
    <material name="wall" rgba="0.75 0.65 0.5 1"/>
    <material name="goal" rgba="0.8 0.3 0.2 1"/>
    <material name="ball" rgba="0.2 0.7 0.4 1"/>
  </asset>
  <worldbody>
    <light directional="true" pos="{middle} 9" dir="0 0 -1" diffuse="0.4 0.4 0.4"/>
    <camera name="overview" pos="{middle} {distance}" xyaxes="0 1 0 -1 0 0"/>
    <geom type="plane" size="40 40 1" pos="0 0 -0.1" material="floor"
          contype="1" conaffinity="0"/>
    <site pos="{goal[0] + _ORIGIN} {goal[1] + _ORIGIN} 0" size="0.2" material="goal"/>
    <body name="ball" pos="{_ORIGIN} {_ORIGIN} 0">
      <geom type="sphere" size="0.1" contype="1" margin="0" material="ball"/>
      <joint name="a" type="slide" axis="1 0 0"/>
      <joint name="b" type="slide" axis="0 1 0"/>
    </body>
{walls}
  </worldbody>
  <actuator>
    <motor joint="a" gear="100" ctrllimited="true" ctrlrange="-1 1"/>
    <motor joint="b" gear="100" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""
