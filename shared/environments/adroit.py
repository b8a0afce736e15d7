"""Adroit: a 24-joint hand opens a door, drives in a nail, turns a pen, moves a ball.

The models are gymnasium-robotics' files; observations, rewards, starts and ends are
D4RL's, which that package's own environments do not keep:

    reward   there the distance of palm and object is *rewarded* by 0.1 in door,
             hammer and relocate; D4RL subtracts it
    pen      there it never ends; in D4RL the episode is over when the pen is dropped
    horizon  there 200 everywhere; D4RL cuts pen after 100
    contact  its geoms have margins of 0.0005, of which D4RL's MuJoCo took the larger
             and today's takes the sum; here every margin is half of that

Actions are positions of the joints: action · half the control range + its middle.
One step is 5 steps of 0.002 s.  Names in the code are those of the model files.

Source of the facts: D4RL (Fu et al., 2020) and hand_dapg (Rajeswaran et al., 2018),
both Apache-2.0.
"""

import math

import numpy as np
from jaxtyping import Float

from shared.environments.mujoco_task import MujocoTask, compile_model, robotics_assets

Vector = Float[np.ndarray, "3"]
_FRAME_SKIP = 5
_MARGIN = 0.00025


class AdroitTask(MujocoTask):
    """What the four tasks share; the hand comes first in qpos, the objects last."""

    camera = "fixed"

    def __init__(self, name: str, *, horizon: int):
        """Build the task `name` (`door`, `hammer`, `pen` or `relocate`)."""
        # Not shared: where things stand is written into the model.
        model = compile_model(robotics_assets() / "adroit_hand" / f"adroit_{name}.xml")
        super().__init__(model, frame_skip=_FRAME_SKIP, horizon=horizon)
        self.model.geom_margin[:] = _MARGIN
        for first, last, gain in (("A_WRJ1", "A_WRJ0", 10), ("A_FFJ3", "A_THJ0", 1)):
            joints = slice(self.model.actuator(first).id, self.model.actuator(last).id + 1)
            self.model.actuator_gainprm[joints, :3] = (gain, 0, 0)
            self.model.actuator_biasprm[joints, :3] = (0, -gain, 0)
        low, high = self.model.actuator_ctrlrange.T
        self._middle, self._half_range = (low + high) / 2, (high - low) / 2

    def _act(self, action: np.ndarray) -> np.ndarray:
        return self._middle + action * self._half_range

    def _site(self, name: str) -> Vector:
        return self.data.site(name).xpos

    def _between(self, first: Vector, second: Vector) -> float:
        return float(np.linalg.norm(first - second))


class Door(AdroitTask):
    """Turn the latch and pull the door open."""

    def __init__(self, *, horizon: int):
        super().__init__("door", horizon=horizon)

    def observe(self) -> np.ndarray:
        """Hand but for its slide, latch, hinge, palm, handle, palm − handle, ±1 for open."""
        hinge = self.data.joint("door_hinge").qpos
        palm, handle = self._site("S_grasp"), self._site("S_handle")
        is_open = [1.0 if hinge[0] > 1.0 else -1.0]
        hand, latch = self.data.qpos[1:-2], self.data.qpos[-1:]
        return np.concatenate([hand, latch, hinge, palm, handle, palm - handle, is_open])

    def _start(self) -> None:
        frame = self.model.body("frame").pos
        for axis, low, high in ((0, -0.3, -0.2), (1, 0.25, 0.35), (2, 0.252, 0.35)):
            frame[axis] = self.np_random.uniform(low, high)

    def _judge(self) -> tuple[float, bool]:
        hinge = self.data.joint("door_hinge").qpos[0]
        reward = -0.1 * self._between(self._site("S_grasp"), self._site("S_handle"))
        reward -= 0.1 * (hinge - 1.57) ** 2 + 1e-5 * np.sum(self.data.qvel**2)
        reward += 2 * (hinge > 0.2) + 8 * (hinge > 1.0) + 10 * (hinge > 1.35)
        return float(reward), False


class Hammer(AdroitTask):
    """Pick up the hammer and drive the nail into the board."""

    def __init__(self, *, horizon: int):
        super().__init__("hammer", horizon=horizon)

    def observe(self) -> np.ndarray:
        """Hand, velocity of the hammer, palm, hammer, its Euler angles, nail, force on it."""
        velocity = np.clip(self.data.qvel[-6:], -1, 1)
        body = self.data.body("Object")
        angles = euler_angles(body.xmat.reshape(3, 3))
        force = np.clip(self.data.sensor("S_nail").data, -1, 1)
        palm, nail = self._site("S_grasp"), self._site("S_target")
        return np.concatenate([self.data.qpos[:-6], velocity, palm, body.xpos, angles, nail, force])

    def _start(self) -> None:
        self.model.body("nail_board").pos[2] = self.np_random.uniform(0.1, 0.25)

    def _judge(self) -> tuple[float, bool]:
        hammer, head = self.data.body("Object").xpos, self._site("tool")
        nail = self._site("S_target")
        depth = self._between(nail, self._site("nail_goal"))
        reward = -0.1 * self._between(self._site("S_grasp"), hammer)
        reward -= self._between(head, nail) + 10 * depth
        reward -= 1e-2 * np.linalg.norm(self.data.qvel)
        reward += 2 * (hammer[2] > 0.04 and head[2] > 0.04)
        reward += 25 * (depth < 0.02) + 75 * (depth < 0.01)
        return float(reward), False


class Pen(AdroitTask):
    """Turn the pen in the hand until it points as the target does."""

    def __init__(self, *, horizon: int):
        super().__init__("pen", horizon=horizon)

    def observe(self) -> np.ndarray:
        """Hand, pen, its velocity, its direction, the wanted one, and both differences."""
        pen, place = self.data.body("Object").xpos, self._site("eps_ball")
        direction, wanted = self._direction("object"), self._direction("target")
        velocity = self.data.qvel[-6:]
        differences = (pen - place, direction - wanted)
        return np.concatenate([self.data.qpos[:-6], pen, velocity, direction, wanted, *differences])

    def _direction(self, name: str) -> Vector:
        """Unit vector from bottom to top."""
        axis = self._site(f"{name}_top") - self._site(f"{name}_bottom")
        return axis / np.linalg.norm(axis)

    def _start(self) -> None:
        # a turn about y, then one about the world's x
        x, y = (self.np_random.uniform(-1, 1) / 2 for _ in range(2))
        cx, sx, cy, sy = math.cos(x), math.sin(x), math.cos(y), math.sin(y)
        self.model.body("target").quat[:] = (cx * cy, sx * cy, cx * sy, sx * sy)

    def _judge(self) -> tuple[float, bool]:
        pen = self.data.body("Object").xpos
        distance = self._between(pen, self._site("eps_ball"))
        alike = float(self._direction("object") @ self._direction("target"))
        near, dropped = distance < 0.075, bool(pen[2] < 0.075)
        reward = -distance + alike - 5 * dropped
        reward += 10 * (near and alike > 0.9) + 50 * (near and alike > 0.95)
        return float(reward), dropped


class Relocate(AdroitTask):
    """Grasp the ball and hold it where the target floats."""

    def __init__(self, *, horizon: int):
        super().__init__("relocate", horizon=horizon)

    def observe(self) -> np.ndarray:
        """Hand, palm − ball, palm − target, ball − target."""
        ball, palm = self.data.body("Object").xpos, self._site("S_grasp")
        target = self._site("target")
        return np.concatenate([self.data.qpos[:-6], palm - ball, palm - target, ball - target])

    def _start(self) -> None:
        ball, target = self.model.body("Object").pos, self.model.site("target").pos
        ball[0] = self.np_random.uniform(-0.15, 0.15)
        ball[1] = self.np_random.uniform(-0.15, 0.3)
        for axis, low, high in ((0, -0.2, 0.2), (1, -0.2, 0.2), (2, 0.15, 0.35)):
            target[axis] = self.np_random.uniform(low, high)

    def _judge(self) -> tuple[float, bool]:
        ball, palm = self.data.body("Object").xpos, self._site("S_grasp")
        target = self._site("target")
        distance = self._between(ball, target)
        reward = -0.1 * self._between(palm, ball)
        if ball[2] > 0.04:  # off the table
            reward += 1 - 0.5 * self._between(palm, target) - 0.5 * distance
        reward += 10 * (distance < 0.1) + 20 * (distance < 0.05)
        return float(reward), False


def euler_angles(matrix: Float[np.ndarray, "3 3"]) -> Vector:
    """Angles of a rotation matrix about x, y, z in hand_dapg's order and signs."""
    m = matrix
    cosine = math.hypot(m[2, 2], m[1, 2])
    second = -math.atan2(-m[0, 2], cosine)
    if cosine < 4 * np.finfo(np.float64).eps:  # looking along y, where x and z turn alike
        return np.array([0.0, second, -math.atan2(-m[1, 0], m[1, 1])])
    return np.array([-math.atan2(m[1, 2], m[2, 2]), second, -math.atan2(m[0, 1], m[0, 0])])


TASKS = {"door": Door, "hammer": Hammer, "pen": Pen, "relocate": Relocate}
