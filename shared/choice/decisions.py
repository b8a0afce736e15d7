"""What a policy would do along recorded episodes.

A policy without a memory is asked frame by frame.  One with a memory follows every episode from
its start: it sees what was recorded, is told the action that was taken and what it earned, and
says at each frame what it would have done there.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from shared.datasets.frames import Frames

BLOCK = 1024
"""Frames asked for at a time: some policies draw many actions to choose one."""
SIDE_BY_SIDE, ROUNDED_TO = 64, 250
"""Episodes followed side by side, and what their padded length is a multiple of."""


def decisions(algorithm, state, frames: Frames) -> Float[np.ndarray, "frames action"]:
    """The deterministic action at every frame, the last one of an episode included.

    Arguments:
        algorithm: whose policy it is.
        state: of one seed.
        frames: of whole episodes, with state observations.
    """
    if jax.tree.leaves(jax.eval_shape(algorithm.initial_memory, state)):
        return _along_episodes(algorithm, state, frames)
    return np.asarray(_frame_by_frame(algorithm, state, jnp.asarray(frames.state)))


def decisions_among(
    algorithm, state, frames: Frames, chosen: Bool[np.ndarray, "frames"]
) -> Float[np.ndarray, "frames action"]:
    """The same at the frames of some whole episodes, and 0 elsewhere."""
    some = Frames(*(None if x is None else x[chosen] for x in frames))
    found = np.zeros_like(frames.action)
    found[chosen] = decisions(algorithm, state, some)
    return found


@partial(jax.jit, static_argnames=("algorithm",))
def _frame_by_frame(algorithm, state, observation):
    def act(observation):
        return algorithm.act(state, algorithm.initial_memory(state), observation, key=None)[0]

    return jax.lax.map(act, observation, batch_size=BLOCK)


def _along_episodes(algorithm, state, frames: Frames) -> np.ndarray:
    """Episodes of about one length together, so that little of what is computed is padding."""
    first = np.flatnonzero(np.diff(frames.episode, prepend=-1))
    length = np.diff(first, append=len(frames.episode))
    order, found = np.argsort(length, kind="stable"), np.zeros_like(frames.action)
    state_at = np.asarray(frames.state)
    for start in range(0, len(order), SIDE_BY_SIDE):
        group = order[start : start + SIDE_BY_SIDE]
        time = np.arange(-(-length[group].max() // ROUNDED_TO) * ROUNDED_TO)
        # (time, episodes); the padding repeats the last frame of an episode, or of a group.
        group = np.pad(group, (0, SIDE_BY_SIDE - len(group)), mode="edge")
        row = first[group] + np.minimum(time[:, None], length[group] - 1)
        seen = (state_at[row], frames.action[row], frames.reward[row])
        actions = np.asarray(_follow(algorithm, state, *map(jnp.asarray, seen)))
        real = time[:, None] < length[group]
        found[row[real]] = actions[real]
    return found


@partial(jax.jit, static_argnames=("algorithm",))
def _follow(algorithm, state, observation, action, reward):
    """Actions of shape (time, episodes, action) along episodes with these leading axes."""

    def step(memory, seen):
        observation, action, reward = seen
        own, memory = algorithm.act(state, memory, observation, key=None)
        return algorithm.rewarded(algorithm.took(memory, action), reward), own

    def follow(*seen):
        return jax.lax.scan(step, algorithm.initial_memory(state), seen)[1]

    return jax.vmap(follow, in_axes=1, out_axes=1)(observation, action, reward)
