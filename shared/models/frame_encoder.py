"""From frames to features: the encoder of every method that learns from pixels without a model.

    features = tanh(LayerNorm(W · CNN(frames / 255 - 0.5)))      or all that the CNN gives

It is the CNN of the world models (`shared/models/convolution.py`).  The layers behind it are the
"trunk" of "Mastering Visual Continuous Control" (Yarats et al., 2021, DrQ-v2), whose random shifts
of the frames are `random_shift`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import nn
from jaxtyping import Array, Float, PRNGKeyArray, Shaped, UInt8

from shared.models.convolution import PixelEncoder, Sizes
from shared.models.learner import initialise
from shared.models.networks import affine

TOGETHER = 64
"""Frames encoded at a time where there are thousands: their activations take memory."""


class Trunk(eqx.Module):
    """tanh(LayerNorm(W · x + b)): few bounded numbers of many."""

    layer: nn.Linear
    norm: nn.LayerNorm

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        self.layer = nn.Linear(in_size, out_size, key=key)
        self.norm = nn.LayerNorm(out_size)

    def __call__(self, x: Float[Array, "n"]) -> Float[Array, "m"]:
        return jnp.tanh(self.norm(affine(self.layer, x)))


class FrameEncoder(eqx.Module):
    """A stack of frames to a vector.

    Arguments:
        shape: of the stack, (height, width, 3 k) for k frames, oldest first.
        depth, patch: as of `PixelEncoder`.
        feature_size: length of the vector; None is all that the last convolution gives.
    """

    cnn: PixelEncoder
    trunk: Trunk | None
    shape: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        depth: int,
        patch: int,
        feature_size: int | None,
        *,
        key: PRNGKeyArray,
    ):
        k_cnn, k_trunk = jax.random.split(key)
        flat = Sizes(shape, depth, patch).flat
        self.shape, self.size = shape, feature_size or flat
        self.cnn = initialise(
            lambda *, key: PixelEncoder(shape, None, depth, patch=patch, key=key), key=k_cnn
        )
        self.trunk = None if feature_size is None else Trunk(flat, feature_size, key=k_trunk)

    def __call__(self, frames: UInt8[Array, "height width colors"]) -> Float[Array, "size"]:
        x = self.cnn(frames.astype(jnp.float32) / 255 - 0.5)
        return x if self.trunk is None else self.trunk(x)

    def many(self, frames: UInt8[Array, "n height width colors"]) -> Float[Array, "n size"]:
        """Those of many stacks, a few at a time."""
        return jax.lax.map(self, frames, batch_size=min(TOGETHER, len(frames)))


def random_shift(
    frames: UInt8[Array, "batch height width colors"], most: int, *, key: PRNGKeyArray
) -> UInt8[Array, "batch height width colors"]:
    """Each stack moved by up to `most` pixels along both sides; its edges fill the gap."""
    if most == 0:
        return frames
    sides = ((0, 0), (most, most), (most, most), (0, 0))
    padded = jnp.pad(frames, sides, mode="edge")
    corner = jax.random.randint(key, (len(frames), 2), 0, 2 * most + 1)

    def cut(stack, corner):
        return jax.lax.dynamic_slice(stack, (corner[0], corner[1], 0), frames.shape[1:])

    return jax.vmap(cut)(padded, corner)


def stacked(frames: Shaped[Array, "time *frame"], size: int) -> Shaped[Array, "time *stack"]:
    """Of every time the last `size` frames, oldest first, along the last axis.

    At the start of the episode, time 0, its first frame fills the stack.
    """
    time = jnp.arange(len(frames))
    ages = range(size - 1, -1, -1)
    return jnp.concatenate([frames[jnp.maximum(time - age, 0)] for age in ages], axis=-1)
