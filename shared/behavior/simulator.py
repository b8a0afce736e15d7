"""The gymnasium `-v4` locomotion simulators, stripped to what collection needs.

The environment classes are used directly: no registry, no wrappers, no
rendering.  The time limit of 1000 steps is kept here, and a state can be read
and restored exactly, so that an interrupted training continues bit for bit.
"""

import importlib
from typing import NamedTuple

import numpy as np

from shared.errors import DataError

HORIZON = 1000
_CLASSES = {
    "hopper": ("hopper_v4", "HopperEnv", "Hopper-v4"),
    "halfcheetah": ("half_cheetah_v4", "HalfCheetahEnv", "HalfCheetah-v4"),
    "walker2d": ("walker2d_v4", "Walker2dEnv", "Walker2d-v4"),
}
ENVIRONMENTS = tuple(_CLASSES)


class Outcome(NamedTuple):
    """What one simulator step returned; `observation` is float64."""

    observation: np.ndarray
    reward: float
    terminal: bool
    timeout: bool


def environment_id(environment: str) -> str:
    """The gymnasium id, e.g. `Hopper-v4` for `hopper`.

    Raises:
        DataError: there is no behaviour policy for such an environment.
    """
    if environment not in _CLASSES:
        known = ", ".join(ENVIRONMENTS)
        raise DataError(f"No environment '{environment}' can be collected; choose one of {known}.")
    return _CLASSES[environment][2]


class Simulator:
    """One simulator with its own time limit.  It never resets by itself."""

    def __init__(self, environment: str):
        environment_id(environment)
        module, name, _ = _CLASSES[environment]
        module = importlib.import_module(f"gymnasium.envs.mujoco.{module}")
        self.env = getattr(module, name)()
        self.elapsed = 0
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
