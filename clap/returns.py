"""Returns of dreams, of recorded windows and of whole data sets."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from shared.types import Scalar


class DataReturns(NamedTuple):
    """Discounted returns of a data set's own policy, over all of its rows.

    Cut off where an episode is, hence lower bounds near a time limit.
    """

    mean: Float[Array, "*batch"]
    std: Float[Array, "*batch"]
    worst: Float[Array, "*batch"]
    best: Float[Array, "*batch"]
    at_starts: Float[Array, "*batch"]


def lambda_returns(
    reward: Float[Array, "time"],
    continuation: Float[Array, "time"],
    next_value: Float[Array, "time"],
    *,
    discount: Scalar,
    lambda_: Scalar,
) -> Float[Array, "time"]:
    """G_t = r_t + discount c_t [(1 - lambda) V_{t+1} + lambda G_{t+1}], G behind the end = V.

    With lambda 1 it is the n-step return of equation 6, with 0 the one-step one.
    """

    def step(following, inputs):
        reward, continuation, value = inputs
        mixed = (1 - lambda_) * value + lambda_ * following
        following = reward + discount * continuation * mixed
        return following, following

    inputs = (reward, continuation, next_value)
    return jax.lax.scan(step, next_value[-1], inputs, reverse=True)[1]


def recorded_returns(
    reward: Float[Array, "time"],
    terminal: Bool[Array, "time"],
    acted: Bool[Array, "time"],
    value: Float[Array, "time"],
    *,
    discount: Scalar,
    lambda_: Scalar,
) -> Float[Array, "time"]:
    """Lambda returns of the data's own actions along one window; V itself without an action."""
    following_value = jnp.append(value[1:], value[-1])

    def step(following, inputs):
        reward, terminal, acted, value, next_value = inputs
        mixed = jnp.where(terminal, 0.0, (1 - lambda_) * next_value + lambda_ * following)
        following = jnp.where(acted, reward + discount * mixed, value)
        return following, following

    # The last step of a window lacks what its action led to.
    acted = acted.at[-1].set(False)
    inputs = (reward, terminal, acted, value, following_value)
    return jax.lax.scan(step, value[-1], inputs, reverse=True)[1]


def data_returns(dataset, discount: Scalar) -> DataReturns:
    """Discounted sums of the rewards from every action to a terminal or its episode's end.

    Arguments:
        dataset: with `reward`, `terminal`, `acted` and `episodes` of its rows.
        discount: of a step.
    """
    episodes = dataset.episodes
    last = jnp.zeros(dataset.reward.shape, bool).at[episodes.last].set(True)
    factor = jnp.where(last | dataset.terminal, 0.0, discount)

    def combine(later, earlier):
        (reward_later, factor_later), (reward, factor) = later, earlier
        return reward + factor * reward_later, factor * factor_later

    returns, _ = jax.lax.associative_scan(combine, (dataset.reward, factor), reverse=True)
    return DataReturns(
        jnp.mean(returns, where=dataset.acted),
        jnp.std(returns, where=dataset.acted),
        jnp.min(returns, where=dataset.acted, initial=jnp.inf),
        jnp.max(returns, where=dataset.acted, initial=-jnp.inf),
        jnp.mean(returns[episodes.first]),
    )


def episode_merit(dataset) -> Float[Array, "rows"]:
    """How well the episode of every row did: its return, standardised over all rows.

    Where terminals lie inside of an episode, each ends what counts together, as an evaluation.

    Arguments:
        dataset: with `reward`, `terminal`, `acted` and `episodes` of its rows.
    """
    acted, count = dataset.acted, dataset.reward.shape[0]
    ends = dataset.terminal.at[dataset.episodes.last].set(True).astype(jnp.int32)
    number = jnp.cumsum(ends) - ends
    earned = jnp.where(acted, dataset.reward, 0.0)
    total = jax.ops.segment_sum(earned, number, count)[number]
    mean, std = jnp.mean(total, where=acted), jnp.std(total, where=acted)
    return (total - mean) / (std + 1e-6)
