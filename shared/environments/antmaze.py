"""antmaze: a four-legged ant walks through a maze to a goal that it cannot see.

    physics      the ant of MuJoCo's examples, but 0.02 s · 5 a step (Runge-Kutta) and
                 motors of ±30 without gear, which an action in [-1, 1] spans
    frame        cells of 4 m; the start cell's middle is (0, 0), x along the columns
    observation  29: positions (x, y, height, orientation, 8 joints), then velocities (14)
    start        upright at (0, 0), positions + U(−0.1, 0.1), velocities 0.1 · N(0, 1)
    goal         new in every episode: middle of the goal's cell + U(0, 1) + U(0, 0.5)
                 in each direction, never negative
    reward       1 and the end within 0.5 of the goal, else 0; cut after 700 or 1000 steps

gymnasium-robotics' AntMaze has another time step, other motors, observation, frame and
goals.  The play and the diverse set of a size are scored by the same environment.

Contacts: D4RL's MuJoCo took the larger of two margins, today's adds them.  The margin
is on floor and walls alone here, which is 0.01 by either rule.

Source of the facts: D4RL (Fu et al., 2020), version 2 of the environments, Apache-2.0.
"""

import math

import numpy as np

from shared.environments.mazes import LARGE, MEDIUM, UMAZE, Cell, Maze
from shared.environments.mujoco_task import MujocoTask, compile_model

MAZES: dict[str, tuple[Maze, Cell]] = {
    "umaze": (UMAZE, (3, 1)),
    "medium": (MEDIUM, (6, 6)),
    "large": (LARGE, (7, 9)),
}
"""Maze and goal cell of each size."""
START: Cell = (1, 1)
CELL_METRES = 4.0
RADIUS = 0.5
"""Distance from the goal within which the reward is 1."""
FORCE = 30.0
"""Torque of a motor for an action of 1, in N·m."""


class AntMaze(MujocoTask):
    """One of the three antmaze environments.

    Attributes:
        size: of the maze.
        maze: the grid.
        goal: (x, y) of this episode's goal in metres.
    """

    def __init__(self, size: str, *, horizon: int):
        """Build the environment of a `size` among `MAZES`."""
        self.size, (self.maze, self._goal_cell) = size, MAZES[size]
        self.goal = cell_middle(self._goal_cell)
        super().__init__(compile_model(model_xml(self.maze)), frame_skip=5, horizon=horizon)

    def move_to(self, position: np.ndarray) -> None:
        """Put the ant to (x, y) and leave the rest of its state; for recorders."""
        self.data.qpos[:2] = position
        self._mujoco.mj_forward(self.model, self.data)

    def _start(self) -> None:
        self.data.qpos[:] += self.np_random.uniform(-0.1, 0.1, self.model.nq)
        self.data.qvel[:] = 0.1 * self.np_random.standard_normal(self.model.nv)
        offset = self.np_random.uniform(0, 1, 2) + self.np_random.uniform(0, 0.5, 2)
        self.goal = np.maximum(cell_middle(self._goal_cell) + offset, 0.0)
        self.model.site("goal").pos[:2] = self.goal  # for the pictures

    def _act(self, action: np.ndarray) -> np.ndarray:
        return FORCE * action

    def _judge(self) -> tuple[float, bool]:
        reached = math.dist(self.data.qpos[:2], self.goal) <= RADIUS
        return float(reached), reached


def cell_middle(cell: Cell) -> np.ndarray:
    """(x, y) of a cell's middle in metres."""
    return CELL_METRES * np.array([cell[1] - START[1], cell[0] - START[0]], float)


def cell_of(position: np.ndarray) -> Cell:
    """The cell in which (x, y) lies."""
    column, row = np.round(position / CELL_METRES).astype(int)
    return int(row) + START[0], int(column) + START[1]


def model_xml(maze: Maze) -> str:
    """The MuJoCo model of an ant in a maze."""
    half = CELL_METRES / 2
    walls = "\n".join(
        f'    <geom type="box" pos="{x} {y} {half / 2}" size="{half} {half} {half / 2}" '
        f'conaffinity="1" margin="0.01" material="wall"/>'
        for x, y in map(cell_middle, maze.cells("#"))
    )
    legs = "\n".join(_leg_xml(i + 1, *signs) for i, signs in enumerate(_LEGS))
    motors = "\n".join(
        f'    <motor joint="{joint}_{leg}" ctrllimited="true" ctrlrange="-{FORCE} {FORCE}"/>'
        for leg in (4, 1, 2, 3)
        for joint in ("hip", "ankle")
    )
    (left, top), (right, bottom) = cell_middle((0, 0)), cell_middle((maze.height, maze.width))
    overview = f"{(left + right) / 2 - half} {(top + bottom) / 2 - half} {1.3 * (right - left)}"
    return f"""
<mujoco model="antmaze">
  <compiler inertiafromgeom="true" angle="degree"/>
  <option timestep="0.02" integrator="RK4"/>
  <visual>
    <global offwidth="480" offheight="480"/>
    <headlight ambient="0.3 0.3 0.3" diffuse="0.4 0.4 0.4" specular="0 0 0"/>
    <map zfar="20"/>
  </visual>
  <default>
    <joint limited="true" armature="1" damping="1"/>
    <geom condim="3" conaffinity="0" friction="1 0.5 0.5" density="5"
          solref="0.02 1" solimp="0.8 0.8 0.01" material="ant"/>
  </default>
  <asset>
    <material name="floor" rgba="0.25 0.3 0.35 1"/>
    <material name="wall" rgba="0.75 0.65 0.5 1"/>
    <material name="ant" rgba="0.2 0.7 0.4 1"/>
    <material name="goal" rgba="0.8 0.3 0.2 1"/>
  </asset>
  <worldbody>
    <light directional="true" pos="0 0 20" dir="0 0 -1" diffuse="0.4 0.4 0.4"/>
    <camera name="overview" pos="{overview}" xyaxes="1 0 0 0 1 0"/>
    <geom type="plane" size="40 40 40" conaffinity="1" margin="0.01" material="floor"/>
    <site name="goal" pos="0 0 0.01" size="{RADIUS} 0.01" type="cylinder" material="goal"/>
    <body name="torso" pos="0 0 0.75">
      <joint name="root" type="free" limited="false" armature="0" damping="0"/>
      <geom type="sphere" size="0.25"/>
{legs}
    </body>
{walls}
  </worldbody>
  <actuator>
{motors}
  </actuator>
</mujoco>
"""


_LEGS = ((1, 1), (-1, 1), (-1, -1), (1, -1))  # which way the four legs point, x and y


def _leg_xml(number: int, x: int, y: int) -> str:
    """Thigh to the hip, upper leg to the ankle, lower leg; all three slant as (x, y)."""
    hip = f"{0.2 * x} {0.2 * y} 0"
    foot = f"{0.4 * x} {0.4 * y} 0"
    ankle_range = "30 70" if x > 0 else "-70 -30"
    return f"""
      <body>
        <geom type="capsule" size="0.08" fromto="0 0 0 {hip}"/>
        <body pos="{hip}">
          <joint name="hip_{number}" axis="0 0 1" range="-30 30"/>
          <geom type="capsule" size="0.08" fromto="0 0 0 {hip}"/>
          <body pos="{hip}">
            <joint name="ankle_{number}" axis="{-x * y} 1 0" range="{ankle_range}"/>
            <geom type="capsule" size="0.08" fromto="0 0 0 {foot}"/>
          </body>
        </body>
      </body>"""
