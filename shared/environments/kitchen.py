"""FrankaKitchen: a robot arm does four things in a kitchen, one point for each.

The model is gymnasium-robotics' file; observation, noise, reward and end are D4RL's:

    observation  9 joints of the arm, 21 positions of the objects, the goal (30)
    noise        0.1 · amplitude · U(−1, 1) on all positions.  It matters twice: the arm
                 is steered from the noisy position, and tasks are judged on noisy objects
    action       velocities; 2 · action · 0.08 s is added to the arm's noisy position
                 and sent to position controllers, within the joints' bounds
    reward       tasks that came within 0.3 of their goal in this step; each once
    end          when all four are done, or after 280 steps

(gymnasium-robotics' environment observes velocities and no goal, has a tenth of the
arm's noise and next to none on the objects, and judges true positions.)  Contact
margins are halved because today's MuJoCo adds what D4RL's took the larger of.

Source of the facts: D4RL (Fu et al., 2020) and relay policy learning (Gupta et al.,
2019), both Apache-2.0.
"""

import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from shared.environments.mujoco_task import MujocoTask, compile_model, robotics_assets

GOALS: dict[str, dict[int, float]] = {
    "microwave": {22: -0.75},
    "kettle": dict(zip(range(23, 30), (-0.23, 0.75, 1.62, 0.99, 0, 0, -0.06), strict=True)),
    "bottom burner": {11: -0.88, 12: -0.01},
    "light switch": {17: -0.69, 18: -0.05},
    "slide cabinet": {19: 0.37},
}
"""Where the positions of qpos shall be for each task."""
SETS = {
    "kitchen": ("microwave", "kettle", "light switch", "slide cabinet"),
    "kitchen-mixed": ("microwave", "kettle", "bottom burner", "light switch"),
}
"""The four tasks of each environment; the sets complete and partial share theirs."""
THRESHOLD = 0.3
_ARM, _POSITIONS = 9, 30
_FRAME_SKIP, _NOISE_RATIO, _SPEED = 40, 0.1, 2.0
# fmt: off
_START = np.array([
    0.148388023, -1.76848573, 1.84390296, -2.4768576, 0.260252026, 0.712533105, 1.59515394,
    0.0479267505, 0.0371350919, -2.6627985e-4, -5.18043486e-5, 3.1287722e-5, -4.51199853e-5,
    -3.90842156e-6, -4.22629655e-5, 6.28065475e-5, 4.04984708e-5, 4.62730939e-4,
    -2.26906415e-4, -4.65501369e-4, -6.44129196e-3, -1.77048263e-3, 1.08009684e-3,
    -0.26939744, 0.350383255, 1.61944683, 1.00618764, 4.0639512e-3, -6.62095997e-3,
    -2.68278933e-4,
])
# fmt: on


class Kitchen(MujocoTask):
    """One of the two kitchen environments.

    Attributes:
        todo: tasks of this episode that are not done yet.
    """

    shadows = False  # of four lights; without a GPU they make a picture take 20 times as long

    def __init__(self, name: str, *, horizon: int):
        """Build the environment `name` among `SETS`."""
        self._tasks, self.todo = SETS[name], list(SETS[name])
        self._goal = np.zeros(_POSITIONS)
        for task in self._tasks:
            self._goal[list(GOALS[task])] = list(GOALS[task].values())
        self._bounds, self._noise = _read_joints()
        self._seen = np.zeros(_POSITIONS)
        super().__init__(_shared_model(), frame_skip=_FRAME_SKIP, horizon=horizon)
        self._seconds = _FRAME_SKIP * self.model.opt.timestep

    def observe(self) -> np.ndarray:
        """The noisy positions seen last, and the goal; the noise is drawn once a step."""
        return np.concatenate([self._seen, self._goal])

    def _view(self):
        view = self._mujoco.MjvCamera()
        view.lookat[:], view.distance, view.azimuth, view.elevation = (-0.2, 0.5, 2), 2.2, 70, -35
        return view

    def _start(self) -> None:
        self.todo = list(self._tasks)
        self.data.qpos[:] = _START

    def _look(self) -> None:
        noise = self.np_random.uniform(-1, 1, _POSITIONS)
        self._seen = self.data.qpos + _NOISE_RATIO * self._noise * noise

    def _act(self, action: np.ndarray) -> np.ndarray:
        low, high = self._bounds
        return np.clip(self._seen[:_ARM] + _SPEED * action * self._seconds, low, high)

    def _judge(self) -> tuple[float, bool]:
        done = [task for task in self.todo if self._distance(task) < THRESHOLD]
        self.todo = [task for task in self.todo if task not in done]
        return float(len(done)), not self.todo

    def _distance(self, task: str) -> float:
        places = list(GOALS[task])
        return float(np.linalg.norm(self._seen[places] - self._goal[places]))


@cache
def _shared_model():
    """The model, of 60 MB; nothing writes into it, so all kitchens of a process have one."""
    model = compile_model(_assets() / "kitchen_assets" / "kitchen_env_model.xml")
    model.geom_margin[:] /= 2
    return model


def _assets() -> Path:
    return robotics_assets() / "kitchen_franka"


def _read_joints() -> tuple[Float[np.ndarray, "2 arm"], Float[np.ndarray, "positions"]]:
    """Bounds of the arm's joints, and the amplitude of the noise on every position."""
    root = ElementTree.parse(_assets() / "franka_assets" / "franka_config.xml").getroot()

    def numbers(joint: int, key: str) -> list[float]:
        node = root.find(f"qpos{joint}")
        assert node is not None
        return [float(x) for x in node.attrib[key].split()]

    bounds = np.array([numbers(i, "pos_bound") for i in range(_ARM)]).T
    noise = np.array([numbers(i, "pos_noise_amp")[0] for i in range(_POSITIONS)])
    return bounds, noise
