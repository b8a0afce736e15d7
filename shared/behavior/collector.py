"""Simulators that feed the replay buffer while a behaviour policy is trained."""

import jax
import numpy as np

from shared.behavior.policies import Layers, forward
from shared.behavior.simulator import make_simulator
from shared.types import Transition


class Collector:
    """Steps several simulators with the current actor and restarts finished episodes.

    Episode e of simulator i starts from `SeedSequence([seed, 1, i, e])`, so the
    counters `episodes` and the simulators' states are all there is to save.
    """

    def __init__(self, environment: str, simulators: int, seed: int):
        self.simulators = [make_simulator(environment) for _ in range(simulators)]
        self.seed = seed
        self.episodes = np.zeros(simulators, np.int64)
        self.observations = np.stack([self._restart(i) for i in range(simulators)])

    def _restart(self, i: int) -> np.ndarray:
        self.episodes[i] += 1
        seed = np.random.SeedSequence([self.seed, 1, i, int(self.episodes[i])])
        return self.simulators[i].reset(seed).astype(np.float32)

    def collect(
        self, layers: Layers | None, rows: int, generator: np.random.Generator
    ) -> Transition:
        """`rows` transitions in float32, a multiple of the simulators' number.

        The actor's actions are sampled; `layers` None takes uniform ones.
        """
        steps = rows // len(self.simulators)
        each = [self._step_all(layers, generator) for _ in range(steps)]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *each)

    def _step_all(self, layers: Layers | None, generator: np.random.Generator) -> Transition:
        shape = (len(self.simulators), self.simulators[0].action_size)
        if layers is None:
            actions = generator.uniform(-1, 1, shape).astype(np.float32)
        else:
            noise = generator.standard_normal(shape, np.float32)
            actions = forward(layers, self.observations, noise)
        outcomes = [s.step(a) for s, a in zip(self.simulators, actions, strict=True)]
        following = np.stack([o.observation for o in outcomes]).astype(np.float32)
        reward = np.array([o.reward for o in outcomes], np.float32)
        terminal = np.array([o.terminal for o in outcomes], bool)
        rows = Transition(self.observations, actions, reward, terminal, following.copy())
        for i, outcome in enumerate(outcomes):
            if outcome.terminal or outcome.timeout:
                following[i] = self._restart(i)
        self.observations = following
        return rows

    def get_states(self) -> np.ndarray:
        """Exact states of all simulators, (simulators, state) float64."""
        return np.stack([s.get_state() for s in self.simulators])

    def set_states(self, states: np.ndarray, episodes: np.ndarray) -> None:
        """Continue from `get_states` and the episode counters of that moment."""
        self.episodes = np.array(episodes)
        observations = [s.set_state(x) for s, x in zip(self.simulators, states, strict=True)]
        self.observations = np.stack(observations).astype(np.float32)
