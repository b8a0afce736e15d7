"""Frames of whole episodes in the one canonical form, from either convention.

Two conventions are in use for what a row of a recording holds:

    taken at      (D4RL)    the action that the policy takes *at* its observation,
                            and what it earns
    leads to      (V-D4RL)  the action and the reward that *led to* its observation;
                            the first row of an episode has a zero action

`Frames` has the first one, as `shared.types.Window` demands: an episode of L actions
has L + 1 frames, and the last of them has no action.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from shared.types import Transition


class Frames(NamedTuple):
    """Every frame of every episode, in order; leading axis = frames.

    Attributes:
        image: channels last, or None.
        state: flat state observation, or None.
        action: taken at the frame; zero on the last frame of an episode.
        reward: what the action earned; zero there.
        terminal: did the action end the episode for good?
        episode: number of the episode, ascending.
    """

    image: UInt8[np.ndarray, "frames height width 3"] | None
    state: Float[np.ndarray, "frames state"] | None
    action: Float[np.ndarray, "frames action"]
    reward: Float[np.ndarray, "frames"]
    terminal: Bool[np.ndarray, "frames"]
    episode: Int[np.ndarray, "frames"]

    @property
    def acted(self) -> Bool[np.ndarray, "frames"]:
        """False on the last frame of every episode."""
        return np.append(self.episode[1:] == self.episode[:-1], False)

    @property
    def episode_returns(self) -> Float[np.ndarray, "episodes"]:
        """Raw sums of rewards, float64."""
        return np.bincount(self.episode, self.reward.astype(np.float64))

    @property
    def episode_lengths(self) -> Int[np.ndarray, "episodes"]:
        """Actions of every episode."""
        return np.bincount(self.episode) - 1


def from_leading(
    image: np.ndarray | None,
    state: np.ndarray | None,
    action: np.ndarray,
    reward: np.ndarray,
    terminal: np.ndarray,
    is_first: np.ndarray,
) -> Frames:
    """Rows that hold the action which led to them; the first row's is dropped.

    Arguments:
        image: (rows, height, width, 3) uint8 or None.
        state: (rows, state) or None.
        action: (rows, action).
        reward: (rows,), earned on the way to the row.
        terminal: (rows,), did the episode end for good *at* the row's observation?
        is_first: (rows,), starts of episodes; the very first row counts as one.
    """
    first = np.array(is_first, bool)
    first[0] = True
    last = np.append(first[1:], True)

    def ahead(x: np.ndarray) -> np.ndarray:
        shifted = np.concatenate([x[1:], x[:1]])
        shifted[last] = 0
        return shifted

    number = (np.cumsum(first) - 1).astype(np.int32)
    action = ahead(np.asarray(action, np.float32))
    reward, terminal = ahead(np.asarray(reward, np.float32)), ahead(np.asarray(terminal, bool))
    return Frames(image, state, action, reward, terminal, number)


def from_transitions(transitions: Transition, episode: np.ndarray) -> Frames:
    """Rows that hold the action taken at them, as D4RL's; one frame more an episode."""
    last = np.append(episode[1:] != episode[:-1], True)
    places = np.flatnonzero(last) + 1

    def insert(x: np.ndarray, values) -> np.ndarray:
        return np.insert(x, places, values, axis=0)

    number = (np.cumsum(last) - last).astype(np.int32)
    return Frames(
        None,
        insert(transitions.observation, transitions.next_observation[last]),
        insert(transitions.action, 0),
        insert(transitions.reward, 0),
        insert(transitions.terminal, False),
        insert(number, number[last]),
    )


def to_transitions(frames: Frames) -> tuple[Transition, np.ndarray]:
    """The states as transitions, and the episode of each."""
    if frames.state is None:
        raise ValueError("these frames have no states")
    rows = np.flatnonzero(frames.acted)
    parts = (frames.state, frames.action, frames.reward, frames.terminal)
    return Transition(*(x[rows] for x in parts), frames.state[rows + 1]), frames.episode[rows]
