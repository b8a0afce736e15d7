"""Recorded transitions, and what one policy would do behind each: what its value is fitted to."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from shared.datasets.frames import Frames
from shared.types import Transition


class PolicyBatch(NamedTuple):
    """Rows of `PolicyRows`; `weight` is (batch, members)."""

    rows: Transition
    next_action: Float[Array, "batch action"]
    return_: Float[Array, "batch"]
    weight: Float[Array, "batch members"]


class PolicyRows(eqx.Module):
    """Transitions on the device; always an *argument* of compiled functions.

    Attributes:
        rows: leading axis = rows, as of the next three.
        next_action: what the policy does at `next_observation`.
        return_: discounted return of the data from the row on, see `completed_returns`.
        episode: which episode the row is of, counted from 0.
        weight: of every episode for every member of an ensemble; mean 1.
    """

    rows: Transition
    next_action: Float[Array, "rows action"]
    return_: Float[Array, "rows"]
    episode: Int[Array, "rows"]
    weight: Float[Array, "members episodes"]

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> PolicyBatch:
        """Rows uniformly with replacement."""
        index = jax.random.randint(key, (batch_size,), 0, self.return_.shape[0])
        rows = jax.tree.map(lambda x: x[index], self.rows)
        weight = self.weight[:, self.episode[index]].T
        return PolicyBatch(rows, self.next_action[index], self.return_[index], weight)


def policy_rows(
    frames: Frames,
    decided: Float[np.ndarray, "frames action"],
    discount: float,
    members: int,
    *,
    seed: int = 0,
) -> PolicyRows:
    """The rows of these frames for a policy that `decided` so at each.

    Every member sees the episodes with weights of its own, Exponential(1): the Bayesian bootstrap
    (Rubin 1981), which leaves no episode out.
    """
    acted = np.flatnonzero(frames.acted)
    episode = np.unique(frames.episode, return_inverse=True)[1][acted]
    weight = np.random.default_rng(seed).exponential(size=(members, episode.max() + 1))
    weight /= weight[:, episode].mean(axis=1, keepdims=True)
    state, following = np.asarray(frames.state), acted + 1
    columns = (state[acted], frames.action[acted], frames.reward[acted], frames.terminal[acted])
    rows = Transition(*columns, state[following])
    returns = completed_returns(rows.reward, rows.terminal, episode, discount)
    return PolicyRows(
        Transition(*map(jnp.asarray, rows)),
        jnp.asarray(decided[following]),
        jnp.asarray(returns, jnp.float32),
        jnp.asarray(episode, jnp.int32),
        jnp.asarray(weight, jnp.float32),
    )


def completed_returns(
    reward: np.ndarray, terminal: np.ndarray, episode: np.ndarray, discount: float
) -> Float[np.ndarray, "rows"]:
    """Discounted return from every row on, float64; cut episodes go on at the mean of all rows.

    A time limit ends the recording, not the task.  What lies behind it is taken to be worth the
    mean v of the completed returns themselves, v = mean(G + discount^k v), k the steps to the cut.
    """
    ends = np.append(episode[1:] != episode[:-1], True) | terminal
    returns, behind = np.empty(len(reward)), np.empty(len(reward))
    total, share = 0.0, 0.0
    for t in reversed(range(len(reward))):
        if ends[t]:
            total, share = 0.0, 0.0 if terminal[t] else 1.0
        total = float(reward[t]) + discount * total
        share = discount * share
        returns[t], behind[t] = total, share
    rest = 1 - behind.mean()
    return returns if rest <= 0 else returns + behind * (returns.mean() / rest)
