"""dm_control's tasks with gymnasium's interface, from states or from pixels.

Model-free methods see a stack of the last frames, oldest first, along the channels;
at the start of an episode the first frame fills it.
"""

from collections import deque
from typing import Any

import numpy as np

from shared.environments.control import ACTION_REPEAT, ControlSimulator
from shared.environments.rendering import FAITHFUL, RenderSettings
from shared.errors import ConfigError


class ControlEnvironment:
    """One task, for scoring policies.

    Arguments:
        name: task, e.g. `walker_walk`.
        observation: "state" (flat, float32) or "pixels" (uint8, channels last).
        size: width and height of the frames, e.g. 64 or 84.
        stack: frames in a pixel observation.
        settings: how frames are drawn; policies from pixels need those of their data.

    Raises:
        ConfigError: unknown task or kind of observation, or dm_control is missing.
    """

    render_mode = "rgb_array"

    def __init__(
        self,
        name: str,
        *,
        observation: str = "state",
        size: int = 64,
        stack: int = 1,
        settings: RenderSettings = FAITHFUL,
    ):
        if observation not in ("state", "pixels"):
            raise ConfigError(f"observation '{observation}' is neither 'state' nor 'pixels'.")
        self.simulator = ControlSimulator(name, settings)
        self._pixels, self._size = observation == "pixels", size
        self._frames: deque[np.ndarray] = deque(maxlen=stack)
        seconds = ACTION_REPEAT * self.simulator.control_timestep
        self.metadata: dict[str, Any] = {"render_fps": round(1 / seconds)}

    @property
    def observation_space(self):
        """The gymnasium box of the observations."""
        import gymnasium

        if not self._pixels:
            shape = (self.simulator.observation_size,)
            return gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        shape = (self._size, self._size, 3 * (self._frames.maxlen or 1))
        return gymnasium.spaces.Box(0, 255, shape, np.uint8)

    @property
    def action_space(self):
        """The gymnasium box of the actions."""
        import gymnasium

        return gymnasium.spaces.Box(-1.0, 1.0, (self.simulator.action_size,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None):
        """Start an episode: observation and an empty dictionary; no seed is a random one."""
        state = self.simulator.reset(np.random.SeedSequence(seed))
        self._frames.clear()
        return self._observe(state), {}

    def step(self, action: np.ndarray):
        """Observation, reward, terminal (never), timeout, and an empty dictionary."""
        outcome = self.simulator.step(action)
        return self._observe(outcome.observation), *outcome[1:], {}

    def render(self) -> np.ndarray:
        """A large picture for people."""
        return self.simulator.render(480)

    def close(self) -> None:
        """Free the drawing context."""
        self.simulator.close()

    def _observe(self, state: np.ndarray) -> np.ndarray:
        if not self._pixels:
            return state.astype(np.float32)
        frame = self.simulator.render(self._size)
        missing = 1 if self._frames else self._frames.maxlen or 1
        self._frames.extend([frame] * missing)
        return np.concatenate(self._frames, axis=-1)
