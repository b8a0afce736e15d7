"""How far a policy's actions, and the states that they lead to, lie from the data.

Actions: the distance of (s, pi(s)) to the nearest recorded (s, a), at held-out observations.
States: from held-out observations the policy takes `AHEAD` steps in a small model of one step, and
where it ends is compared with what was recorded.  Both in standard deviations of the data, beside
what is usual: held-out rows themselves, and the states `AHEAD` steps later in their episodes.
"Beyond" is the share farther away than 99 % of the usual ones.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shared.choice import regression
from shared.datasets.frames import Frames
from shared.runs.state_distance import KNOWN, compare, nearest, spread

AHEAD = 20
"""Steps taken in the model."""
STARTS = 500
"""Held-out observations that they begin at, at most."""


class StepModel(NamedTuple):
    """What a step does: a regression of standardised changes and rewards, and their scale."""

    model: regression.Regression
    fitted: regression.State
    scale: Float[np.ndarray, "observation_and_reward"]

    @classmethod
    def fit(cls, frames: Frames, trained: np.ndarray, *, seed: int = 0, **options) -> "StepModel":
        """From the frames with an action among `trained` (a mask of frames)."""
        row = np.flatnonzero(frames.acted & trained)
        state = np.asarray(frames.state)
        change = np.column_stack([state[row + 1] - state[row], frames.reward[row]])
        scale = np.maximum(change.std(axis=0), 1e-6).astype(np.float32)
        x = np.column_stack([state[row], frames.action[row]])
        return cls(*regression.fit(x, change / scale, seed=seed, **options), scale)


def ahead(
    algorithm, state, model: StepModel, starts: Float[np.ndarray, "starts observation"]
) -> Float[np.ndarray, "starts observation"]:
    """Where the deterministic policy is `AHEAD` steps after these observations, by the model.

    A policy with a memory begins there as at the start of an episode.
    """
    return np.asarray(_ahead(algorithm, state, *model, jnp.asarray(starts)))


@partial(jax.jit, static_argnames=("algorithm", "model"))
def _ahead(algorithm, state, model, fitted, scale, starts):
    def step(carry, _):
        observation, memory = carry
        action, memory = algorithm.act(state, memory, observation, key=None)
        x = jnp.concatenate([observation, action])
        change = scale * model.act(fitted, (), x, key=None)[0]
        memory = algorithm.rewarded(memory, change[-1])
        return (observation + change[:-1], memory), None

    def one(observation):
        carry = (observation, algorithm.initial_memory(state))
        return jax.lax.scan(step, carry, None, length=AHEAD)[0][0]

    return jax.lax.map(one, starts, batch_size=250)


class ActionDistances:
    """The distances of several policies' actions from the same data.

    Arguments:
        frames: of whole episodes, with state observations.
        held: which of them are of held-out episodes.
    """

    def __init__(self, frames: Frames, held: np.ndarray):
        state, action = np.asarray(frames.state), frames.action
        self.rows = spread(np.flatnonzero(frames.acted & held), 2000)
        known = spread(np.flatnonzero(frames.acted & ~held), KNOWN)
        self.scale = _scale(state), _scale(action)
        self.known, self.known_state = self._pairs(state, action, known), state[known]
        self.usual = nearest(self._pairs(state, action, self.rows), self.known)
        self.frames = frames

    def of_actions(self, decided: Float[np.ndarray, "frames action"]) -> dict[str, float]:
        """`compare` of the policy's actions at the held-out rows."""
        pairs = self._pairs(np.asarray(self.frames.state), decided, self.rows)
        return compare(nearest(pairs, self.known), self.usual)

    def _pairs(self, state, action, rows) -> np.ndarray:
        of_state, of_action = self.scale
        return np.column_stack([state[rows] / of_state, action[rows] / of_action])


class Distances(ActionDistances):
    """The same, and those of the states that their actions lead to.

    Arguments:
        frames: as above.
        held: as above.
        seed: of the step model.
        options: of its regression.
    """

    def __init__(self, frames: Frames, held: np.ndarray, *, seed: int = 0, **options):
        super().__init__(frames, held)
        state = np.asarray(frames.state)
        self.model = StepModel.fit(frames, ~held, seed=seed, **options)
        rows = self.rows[self.rows + AHEAD < len(state)]
        within = rows[frames.episode[rows + AHEAD] == frames.episode[rows]]
        # Episodes shorter than that have nothing usual to tell; their own states must do.
        self.starts = spread(within if len(within) else self.rows, STARTS)
        usual = state[self.starts + AHEAD] if len(within) else state[self.starts]
        self.usual_state = self._to_known(usual)

    def of_states(self, algorithm, state) -> dict[str, float]:
        """`compare` of where the policy's next steps lead."""
        ends = ahead(algorithm, state, self.model, np.asarray(self.frames.state)[self.starts])
        ends = np.where(np.isfinite(ends), ends, np.float32(1e6))  # the model itself broke down
        return compare(self._to_known(ends), self.usual_state)

    def _to_known(self, state) -> np.ndarray:
        return nearest(state / self.scale[0], self.known_state / self.scale[0])


def _scale(columns: np.ndarray) -> np.ndarray:
    """Standard deviations; a column that does not vary counts as it is."""
    std = columns.std(axis=0, dtype=np.float64)
    return np.where(std > 1e-6, std, 1.0)
