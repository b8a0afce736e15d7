"""A simulator of gymnasium's by its own id, for recording and for training behaviour policies.

Its own state cannot be read.  An episode's start and actions are kept instead, and played again
where one is restored: the same state, if the simulator draws nothing but from its seed.
"""

from typing import Any

import numpy as np

from shared.environments.checked import CheckedSimulator, step_limit
from shared.environments.frames_environment import squared
from shared.environments.outcome import Outcome
from shared.environments.simulators import make_environment
from shared.environments.tasks import environments
from shared.environments.units import Units


class OpenSimulator:
    """One simulator of a task named `gymnasium/ID`.  It never resets by itself.

    Arguments:
        name: of the task.
        draws: make one that `render`s.

    Attributes:
        observation_size, action_size: of the task; actions lie in [-1, 1].
        horizon: steps of an episode at most.
        units: those of its commands.
        elapsed: steps since the reset.

    Raises:
        ConfigError: it cannot be made, or not drawn.
        SimulatorError: a call of it fails, or returns what is no number.
    """

    def __init__(self, name: str, *, draws: bool = False):
        task, environment = environments()[name], make_environment(name, render=draws)
        self._environment = CheckedSimulator(environment, task)
        self.observation_size, self.action_size = task.observation_size, task.action_size
        self.horizon, self.elapsed = step_limit(task), 0
        space: Any = environment.action_space
        low, high = space.low, space.high
        plain = (np.isinf(low) | (low == -1)).all() and (np.isinf(high) | (high == 1)).all()
        self.units = Units(None if plain else (np.float32(low), np.float32(high)))
        self._seed, self._observation = 0, np.zeros(self.observation_size)
        self._actions = np.zeros((self.horizon, self.action_size), np.float32)

    def reset(self, seed: np.random.SeedSequence) -> np.ndarray:
        """Start an episode from the given seed; the observation."""
        return self._restart(int(seed.generate_state(1)[0]))

    def _restart(self, seed: int) -> np.ndarray:
        self._seed, self.elapsed = seed, 0
        self._observation, _ = self._environment.reset(seed=seed)
        return self._observation

    def step(self, action: np.ndarray) -> Outcome:
        """One step of an action in [-1, 1]."""
        action = np.clip(np.asarray(action, np.float32), -1, 1)
        self._actions[self.elapsed] = action
        found = self._environment.step(self.units.command(action))
        self._observation, reward, terminal, timeout, _ = found
        self.elapsed += 1
        return Outcome(self._observation, reward, terminal, timeout and not terminal)

    def observe_parts(self) -> dict[str, np.ndarray]:
        """The observation, as the flat `state` of an archive."""
        return {"state": np.asarray(self._observation)}

    def render(self, size: int) -> np.ndarray:
        """The picture that it draws, made (size, size, 3) uint8."""
        return squared(self._environment.render(), size)

    def close(self) -> None:
        """Free what the simulator holds."""
        self._environment.close()

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """None are known."""
        return np.zeros(0), np.zeros(0)

    def get_state(self) -> np.ndarray:
        """The episode so far as one float64 vector."""
        return np.concatenate([[self._seed, self.elapsed], self._actions.ravel()])

    def set_state(self, state: np.ndarray) -> np.ndarray:
        """Play an episode of `get_state` again; returns the observation there."""
        self._restart(int(state[0]))
        for action in state[2:].reshape(self._actions.shape)[: int(state[1])]:
            self.step(action)
        return self._observation
