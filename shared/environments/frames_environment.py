"""A simulator of gymnasium's that is seen: its pictures are the observations."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from shared.environments import answers
from shared.environments.rendering import drawing_backend


class FramesEnvironment:
    """What another simulator draws (`render_mode="rgb_array"`), made square, as observations.

    Arguments:
        environment: with gymnasium's methods; what it observes itself is not looked at.
        size: width and height of the frames.
    """

    def __init__(self, environment: Any, size: int):
        import gymnasium

        self._environment, self._size = environment, size
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space, self.spec = environment.action_space, environment.spec
        self.metadata: dict[str, Any] = dict(environment.metadata or {})

    def reset(self, *, seed: int | None = None, options: Any = None):
        """Start an episode: frame and information."""
        _, information = self._environment.reset(seed=seed, options=options)
        return self._frame(), information

    def step(self, action: np.ndarray):
        """Frame, reward, terminal, timeout and information."""
        _, *rest = self._environment.step(action)
        return self._frame(), *rest

    def render(self) -> np.ndarray:
        """The picture as the simulator draws it."""
        return self._environment.render()

    def close(self) -> None:
        """Close the simulator."""
        self._environment.close()

    def _frame(self) -> np.ndarray:
        with drawing_backend():
            return squared(answers.picture(self._environment.render()), self._size)


def squared(
    picture: UInt8[np.ndarray, "height width 3"], size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """A picture of any shape as `size` × `size` pixels, each the mean of those that it covers."""
    for axis in (0, 1):
        picture = _resized(picture, size, axis)
    return picture


def _resized(picture: np.ndarray, size: int, axis: int) -> np.ndarray:
    n = picture.shape[axis]
    edges = np.arange(size) * n // size
    if n < size:
        return np.take(picture, edges, axis)
    counts = np.diff(edges, append=n).reshape([-1 if a == axis else 1 for a in range(3)])
    sums = np.add.reduceat(picture.astype(np.uint32), edges, axis)
    return ((sums + counts // 2) // counts).astype(np.uint8)
