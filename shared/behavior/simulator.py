"""The simulators that behaviour policies are trained and recorded in.

gymnasium's `-v4` locomotion classes are used directly: no registry, no wrappers,
no rendering; dm_control's tasks come from `shared.environments.control`.  Time
limits are kept here, and a state can be read and restored exactly, so that an
interrupted training continues bit for bit.
"""

import importlib

import numpy as np

from shared.behavior.open_simulator import OpenSimulator
from shared.environments.control import TASKS, ControlSimulator
from shared.environments.open_tasks import is_open
from shared.environments.outcome import Outcome
from shared.environments.rendering import FAITHFUL, RenderSettings
from shared.environments.tasks import environments
from shared.errors import DataError

HORIZON = 1000
_CLASSES = {
    "hopper": ("hopper_v4", "HopperEnv", "Hopper-v4"),
    "halfcheetah": ("half_cheetah_v4", "HalfCheetahEnv", "HalfCheetah-v4"),
    "walker2d": ("walker2d_v4", "Walker2dEnv", "Walker2d-v4"),
}
ENVIRONMENTS = (*_CLASSES, *TASKS)


def environment_id(environment: str) -> str:
    """The simulator's own name, e.g. `Hopper-v4` for `hopper`.

    Raises:
        DataError: there is no behaviour policy for such an environment.
    """
    if is_open(environment):
        return environments()[environment].simulator
    if environment not in ENVIRONMENTS:
        known = ", ".join(ENVIRONMENTS)
        raise DataError(f"No environment '{environment}' can be collected; choose one of {known}.")
    if environment in TASKS:
        return f"dm_control/{TASKS[environment].domain}-{TASKS[environment].task}"
    return _CLASSES[environment][2]


def is_control(environment: str) -> bool:
    """Is it a task of dm_control's?"""
    return environment in TASKS or environment.startswith("dm_control/")


def make_simulator(environment: str) -> "AnySimulator":
    """A simulator of this environment.

    Raises:
        DataError: there is no behaviour policy for such an environment.
    """
    environment_id(environment)
    if is_control(environment):
        return ControlSimulator(environment)
    return OpenSimulator(environment) if is_open(environment) else Simulator(environment)


def make_drawing(environment: str, settings: RenderSettings = FAITHFUL) -> "DrawingSimulator":
    """One that draws frames, dm_control's by these settings.

    Raises:
        DataError: it draws none.
    """
    if is_control(environment):
        return ControlSimulator(environment, settings)
    if is_open(environment):
        return OpenSimulator(environment, draws=True)
    raise DataError(f"no frames of '{environment}' can be recorded; choose a task of dm_control.")


class Simulator:
    """One of gymnasium's with its own time limit.  It never resets by itself."""

    def __init__(self, environment: str):
        module, name, _ = _CLASSES[environment]
        module = importlib.import_module(f"gymnasium.envs.mujoco.{module}")
        self.env = getattr(module, name)()
        self.elapsed = 0
        self.horizon = HORIZON
        self.observation_size = self.env.observation_space.shape[0]
        self.action_size = self.env.action_space.shape[0]

    def reset(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Start an episode from the given seed; the observation is float64."""
        self.elapsed = 0
        observation, _ = self.env.reset(seed=int(seed.generate_state(1)[0]))
        return observation

    def step(self, action: np.ndarray) -> Outcome:
        observation, reward, terminal, _, _ = self.env.step(action)
        self.elapsed += 1
        timeout = self.elapsed >= HORIZON and not terminal
        return Outcome(observation, float(reward), bool(terminal), timeout)

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Generalised positions and velocities, float64; the next step overwrites them."""
        return self.env.data.qpos, self.env.data.qvel

    def get_state(self) -> np.ndarray:
        """The full integration state and the elapsed steps, as one float64 vector."""
        mujoco = importlib.import_module("mujoco")
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.env.model, kind))
        mujoco.mj_getState(self.env.model, self.env.data, state, kind)
        return np.append(state, self.elapsed)

    def set_state(self, state: np.ndarray) -> np.ndarray:
        """Restore what `get_state` read; returns the observation there."""
        mujoco = importlib.import_module("mujoco")
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        mujoco.mj_setState(self.env.model, self.env.data, state[:-1], kind)
        self.elapsed = int(state[-1])
        return self.env._get_obs()


AnySimulator = Simulator | ControlSimulator | OpenSimulator
DrawingSimulator = ControlSimulator | OpenSimulator
