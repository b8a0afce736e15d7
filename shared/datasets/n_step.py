"""Returns of several steps: what an action and those that followed it earned, discounted.

    reward = sum_{k < m} discount^k r_{t+k},   then   discount^m of the value at s_{t+m}

m is `steps`, or as many as are left of the episode: a time limit cuts the sum short and what is
behind it is bootstrapped, a terminal ends it (the discount of what follows is 0).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from shared.types import Scalar


class Steps(NamedTuple):
    """A transition of several steps.

    Attributes:
        observation: where the first action was taken.
        action: the first one.
        reward: discounted sum of the rewards up to the next observation.
        discount: of the value there; 0 behind a terminal.
        next_observation: behind the last step.
    """

    observation: Array
    action: Float[Array, "batch action"]
    reward: Float[Array, "batch"]
    discount: Float[Array, "batch"]
    next_observation: Array


def add_up(
    reward: Float[Array, "rows"],
    terminal: Bool[Array, "rows"],
    index: Int[Array, "batch"],
    left: Int[Array, "batch"],
    steps: int,
    discount: Scalar,
) -> tuple[Float[Array, "batch"], Float[Array, "batch"], Int[Array, "batch"]]:
    """Sum of the rewards, discount of what follows, and number of steps, from each row on.

    Arguments:
        reward: of all rows.
        terminal: the same.
        index: the first row of each sum.
        left: rows of its episode from there on, at least 1.
        steps: rows in a sum at most.
        discount: of one step.
    """
    count = jnp.minimum(left, steps)
    ahead = jnp.arange(steps)
    place = index[:, None] + jnp.minimum(ahead[None], count[:, None] - 1)
    powers = jnp.asarray(discount, jnp.float32) ** jnp.arange(steps + 1, dtype=jnp.float32)
    weight = jnp.where(ahead[None] < count[:, None], powers[:-1][None], 0.0)
    ended = terminal[index + count - 1]
    return jnp.sum(weight * reward[place], axis=1), jnp.where(ended, 0.0, powers[count]), count
