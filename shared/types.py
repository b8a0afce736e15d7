"""The few records that every algorithm, data set and policy exchange.

All are plain pytrees.  Unless a docstring says otherwise they describe *one*
event without a batch axis; batches are made by `jax.vmap`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

Scalar = float | Float[Array, ""]
"""A number, or a traced one: the value of a hyperparameter in a sweep."""


def is_zero(number: Scalar) -> bool:
    """Is the number known to be zero, so that what it multiplies can be left out?"""
    return isinstance(number, float | int) and number == 0


class Transition(NamedTuple):
    """One environment step.

    `terminal` is true where the environment ended the episode for a reason of
    its own (the robot fell); it masks the bootstrap.  A time limit does not
    set it.
    """

    observation: Float[Array, "*batch observation"]
    action: Float[Array, "*batch action"]
    reward: Float[Array, "*batch"]
    terminal: Bool[Array, "*batch"]
    next_observation: Float[Array, "*batch observation"]


class Window(NamedTuple):
    """`time` consecutive rows of one episode.

    `action[t]` is the action *taken at* `observation[t]`, and `reward[t]` what
    it earned.  `is_first[t]` marks the first row of an episode.
    """

    observation: Float[Array, "time *observation"]
    action: Float[Array, "time action"]
    reward: Float[Array, "time"]
    terminal: Bool[Array, "time"]
    is_first: Bool[Array, "time"]


class Box(NamedTuple):
    """The support of a latent action: `center` ± `half_width`, per dimension."""

    center: Float[Array, "*batch latent"]
    half_width: Float[Array, "*batch latent"]


class Spec(NamedTuple):
    """What an algorithm must know of a data set before it sees a batch.

    `observation_mean` and `observation_std` are taken over every row of the
    data set in float64 (never over padding) and stored as float32.
    `return_range` is the lowest and the highest raw return of an episode, for
    the papers that scale rewards by it.
    """

    observation_size: int
    action_size: int
    observation_mean: np.ndarray
    observation_std: np.ndarray
    return_range: np.ndarray
