"""dm_control's tasks, with the action repeat and the flat states of V-D4RL.

An agent step is two control steps with the same action; its reward is their sum.
An episode is 500 agent steps and never ends earlier, so a perfect return is 1000
and the score is the return divided by 10.  The state is the concatenation of the
task's observations in dm_control's own order:

    walker_walk     orientations 14, height 1, velocity 9
    cheetah_run     position 8, velocity 9
    humanoid_walk   joint_angles 21, head_height 1, extremities 12, torso_vertical 3,
                    com_velocity 3, velocity 27

Every other task of its suite goes by `dm_control/DOMAIN-TASK`: its state is found by looking, its
time limit is its own, and its motors' ranges are brought to [-1, 1].

The task's public methods are called directly, in the order of dm_control's own
environment: the same numbers (tested), but seeds, time limit and exact states
are in our hands.

Sources: dm_control (Tunyasuvunakool et al., 2020); V-D4RL (Lu et al., 2022), section 3.
"""

import functools
import importlib
import math
from typing import Any, NamedTuple

import numpy as np

from shared.environments.outcome import Outcome
from shared.environments.rendering import FAITHFUL, RenderSettings, cannot_draw, drawing_backend
from shared.errors import ConfigError

ACTION_REPEAT = 2
HORIZON = 500  # agent steps
CAMERA = 0  # follows the robot from the side
FREE_CAMERA = -1  # of a scene without any


class ControlTask(NamedTuple):
    """Where dm_control keeps a task, and the parts of its state in order.

    `control_steps` is its time limit; 0 where it has none.
    """

    domain: str
    task: str
    parts: tuple[tuple[str, int], ...]
    control_steps: int = ACTION_REPEAT * HORIZON

    @property
    def horizon(self) -> int:
        """Agent steps of an episode; 0 where nothing limits them."""
        return -(-self.control_steps // ACTION_REPEAT)

    @property
    def observation_size(self) -> int:
        return sum(size for _, size in self.parts)


TASKS = {
    "walker_walk": ControlTask(
        "walker", "walk", (("orientations", 14), ("height", 1), ("velocity", 9))
    ),
    "cheetah_run": ControlTask("cheetah", "run", (("position", 8), ("velocity", 9))),
    "humanoid_walk": ControlTask(
        "humanoid",
        "walk",
        (
            ("joint_angles", 21),
            ("head_height", 1),
            ("extremities", 12),
            ("torso_vertical", 3),
            ("com_velocity", 3),
            ("velocity", 27),
        ),
    ),
}


class ControlSimulator:
    """One simulator of a dm_control task.  It never resets by itself.

    Arguments:
        name: one of `TASKS`, or `dm_control/DOMAIN-TASK`.
        settings: how frames are drawn.

    Attributes:
        observation_size: length of the flat state.
        action_size: number of motors; actions lie in [-1, 1].
        horizon: agent steps of an episode.
        control_timestep: seconds between two control steps.
        elapsed: agent steps since the reset.

    Raises:
        ConfigError: there is no such task, or dm_control is not installed.
    """

    def __init__(self, name: str, settings: RenderSettings = FAITHFUL):
        task = control_task(name)
        self.name, self._parts = name, tuple(part for part, _ in task.parts)
        environment = _load(task.domain, task.task)
        self.physics: Any = environment.physics
        self._task: Any = environment.task
        self.control_timestep: float = environment.control_timestep()
        self._substeps = round(self.control_timestep / self.physics.timestep())
        self.observation_size = task.observation_size
        self.action_size = self.physics.model.nu
        self.horizon = task.horizon or HORIZON
        self._range = _motor_range(self.physics.model)
        self.elapsed = 0
        self._flags = settings.flags()
        self._camera = CAMERA if self.physics.model.ncam else FREE_CAMERA
        quality = self.physics.model.vis.quality
        quality.offsamples = settings.samples
        if not settings.shadows:
            quality.shadowsize = 0  # else maps are kept that nobody draws, 16 MB a simulator

    def reset(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Start an episode from the given seed; the flat state, float64."""
        self._task.random.seed(seed.generate_state(1)[0])
        with self.physics.reset_context():
            self._task.initialize_episode(self.physics)
        self.elapsed = 0
        return self.observe()

    def step(self, action: np.ndarray) -> Outcome:
        """Repeat an action twice; the reward is the sum.  V-D4RL's tasks are never terminal."""
        action = np.clip(np.asarray(action, np.float64), -1, 1)
        if self._range is not None:
            low, high = self._range
            action = low + (action + 1) / 2 * (high - low)
        reward, discount = 0.0, None
        for _ in range(ACTION_REPEAT):
            self._task.before_step(action, self.physics)
            self.physics.step(self._substeps)
            self._task.after_step(self.physics)
            reward += self._task.get_reward(self.physics)
            discount = self._task.get_termination(self.physics)
            if discount is not None:
                break
        self.elapsed += 1
        over = self.elapsed >= self.horizon or discount is not None
        terminal = discount == 0
        return Outcome(self.observe(), float(reward), terminal, over and not terminal)

    def observe_parts(self) -> dict[str, np.ndarray]:
        """The state by dm_control's names, float64."""
        return self._task.get_observation(self.physics)

    def observe(self) -> np.ndarray:
        """The flat state, float64."""
        parts = self.observe_parts()
        return np.concatenate([np.ravel(parts[name]) for name in self._parts])

    def render(self, size: int) -> np.ndarray:
        """The picture of camera 0, (size, size, 3) uint8.

        Raises:
            SystemPackageError: the machine has no headless OpenGL.
            MemoryShortage: no room for another picture.
        """
        try:
            return self.physics.render(
                size, size, camera_id=self._camera, render_flag_overrides=self._flags
            )
        except Exception as error:  # every GL back end raises its own kind
            raise cannot_draw(error, f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Free the drawing context."""
        self.physics.free()

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Generalised positions and velocities, float64; views that the next step overwrites."""
        return self.physics.data.qpos, self.physics.data.qvel

    def get_state(self) -> np.ndarray:
        """The full integration state and the elapsed steps, as one float64 vector."""
        mujoco = importlib.import_module("mujoco")
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        model, data = self.physics.model.ptr, self.physics.data.ptr
        state = np.empty(mujoco.mj_stateSize(model, kind))
        mujoco.mj_getState(model, data, state, kind)
        return np.append(state, self.elapsed)

    def set_state(self, state: np.ndarray) -> np.ndarray:
        """Restore what `get_state` read; the flat state there."""
        mujoco = importlib.import_module("mujoco")
        model, data = self.physics.model.ptr, self.physics.data.ptr
        mujoco.mj_setState(model, data, state[:-1], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_step1(model, data)  # what dm_control leaves done behind every step
        self.elapsed = int(state[-1])
        return self.observe()


@functools.cache
def control_task(name: str) -> ControlTask:
    """One of `TASKS`, or any other of the suite, whose state is looked at.

    Raises:
        ConfigError: there is no such task, or dm_control is not installed.
    """
    if name in TASKS:
        return TASKS[name]
    domain, _, task = name.removeprefix("dm_control/").partition("-")
    if not name.startswith("dm_control/") or (domain, task) not in _suite(name).ALL_TASKS:
        named = sorted(y for x, y in _suite(name).ALL_TASKS if x == domain)
        more = ", ".join(f"dm_control/{domain}-{y}" for y in named) or "dm_control/DOMAIN-TASK"
        raise ConfigError(f"no dm_control task '{name}'; choose one of {', '.join(TASKS)}, {more}.")
    environment = _load(domain, task)
    parts = environment.reset().observation
    limit = environment._step_limit  # which no public name tells
    sizes = tuple((key, int(np.size(value))) for key, value in parts.items())
    environment.physics.free()
    return ControlTask(domain, task, sizes, 0 if math.isinf(limit) else math.ceil(limit))


def _motor_range(model) -> tuple[np.ndarray, np.ndarray] | None:
    """Lowest and highest command of every motor; None if they are -1 and 1, or there are none."""
    low, high = model.actuator_ctrlrange.T
    limited = model.actuator_ctrllimited.astype(bool)
    low, high = np.where(limited, low, -1.0), np.where(limited, high, 1.0)
    return None if (low == -1).all() and (high == 1).all() else (low, high)


def _suite(name: str):
    try:
        with drawing_backend():
            return importlib.import_module("dm_control.suite")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the task {name} needs the package dm-control, which is not installed; it comes with "
            "this project on Python 3.11 and 3.12."
        ) from error


def _load(domain: str, task: str):
    return _suite(f"{domain}-{task}").load(domain, task)
