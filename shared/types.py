"""The few records that every algorithm, data set and policy exchange.

All are plain pytrees.  Unless a docstring says otherwise they describe *one*
event without a batch axis; batches are made by `jax.vmap`.
"""

import math
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

    `observation_shape` is `(size,)` of flat states and `(height, width, channels)` of
    pixels.  `observation_mean` and `observation_std` are taken over every row of the
    data set in float64 (never over padding) and stored as float32; those of pixels are
    constants, which bring 0 ... 255 into ±0.5.  `return_range` is the lowest and the
    highest raw return of an episode, for the papers that scale rewards by it.
    """

    observation_shape: tuple[int, ...]
    action_size: int
    observation_mean: np.ndarray
    observation_std: np.ndarray
    return_range: np.ndarray

    @property
    def observation_size(self) -> int:
        """Numbers in one observation."""
        return math.prod(self.observation_shape)

    @property
    def is_pixels(self) -> bool:
        """Are observations uint8 pictures, channels last?"""
        return len(self.observation_shape) == 3

    @classmethod
    def of_pixels(cls, shape: tuple[int, ...], action_size: int, return_range) -> "Spec":
        """Of pictures of this shape."""
        mean = np.full((1, 1, 1), 127.5, np.float32)
        return cls(tuple(shape), action_size, mean, 2 * mean, return_range)

    @classmethod
    def blank(cls, shape: tuple[int, ...], action_size: int) -> "Spec":
        """Shapes alone: the statistics mean nothing."""
        returns = np.zeros(2, np.float32)
        if len(shape) == 3:
            return cls.of_pixels(shape, action_size, returns)
        blank = np.zeros(shape, np.float32)
        return cls(tuple(shape), action_size, blank, blank, returns)
