"""Encoder and decoder of pictures: strided convolutions, written as matrix products.

    encoder   4 × 4 kernels, stride 2, then one linear layer to the embedding
    decoder   one linear layer, then 4 × 4 transposed kernels, stride 2

A kernel of 4 and a stride of 2 is a kernel of 2 and a stride of 1 over blocks of
2 × 2 pixels, that is four matrix products, one a corner.  Batches, time and seeds
then are rows of (or batches of) plain products, which is faster than XLA's
convolutions on a CPU, above all their gradients, and has no grouped convolutions
when seeds are vmapped.

With `patch` > 1 pictures are first cut into patches of patch × patch pixels, each
a vector that a linear layer reads (or writes): a stem for small machines, which
saves the layers of high resolution.

With `dtype` bfloat16 all that lies between the layers is rounded to it, at half the memory;
parameters, their gradients and what goes in and out stay float32.
"""

import jax
import jax.numpy as jnp
from equinox import Module, field, nn
from jaxtyping import Array, Float, PRNGKeyArray

from shared.errors import ConfigError
from shared.models.networks import selu

SMALLEST = 6
"""Layers halve the picture until it is at most so many pixels wide."""
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
_COLORS = 3
"""Of one picture; a stack of k pictures has 3 k channels."""


class Sizes:
    """Width and channels of every layer's output, from the picture (or its patches) inwards.

    Arguments:
        shape: of a picture: (height, width, 3 k), square; k pictures, one behind the other.
        depth: channels at half the picture's resolution; they double with every halving.
        patch: side of a patch in pixels; 1 = none.

    Raises:
        ConfigError: another shape, or patches that do not tile the picture.
    """

    def __init__(self, shape: tuple[int, ...], depth: int, patch: int):
        height, width, colors = shape
        if height != width or colors % _COLORS or not colors:
            raise ConfigError(f"pictures are {shape}; they must be square, with {_COLORS} colors.")
        if patch < 1 or height % patch:
            raise ConfigError(
                f"cnn_patch is {patch}; it must divide the {height} pixels of a side."
            )
        self.patch = patch
        self.widths = [height // patch]
        self.channels = [colors if patch == 1 else depth * max(1, patch // 2)]
        while self.widths[-1] > SMALLEST:
            self.widths.append(-(-self.widths[-1] // 2))
            self.channels.append(depth * max(1, patch * 2 ** len(self.widths) // 4))

    @property
    def flat(self) -> int:
        """Numbers in the last layer's output."""
        return self.widths[-1] ** 2 * self.channels[-1]


class PixelEncoder(Module):
    """A picture with values in ±0.5 to a vector.

    Arguments:
        shape, depth, patch: as of `Sizes`.
        out_size: length of the vector; None leaves out the last, linear layer.
        dtype: of the activations, "float32" or "bfloat16".
    """

    patch: int = field(static=True)
    dtype: str = field(static=True)
    shape: tuple[int, ...] = field(static=True)
    stem: nn.Linear | None
    layers: tuple[nn.Linear, ...]
    output: nn.Linear | None

    def __init__(
        self,
        shape: tuple[int, ...],
        out_size: int | None,
        depth: int,
        *,
        patch: int = 1,
        dtype: str = "float32",
        key: PRNGKeyArray,
    ):
        sizes = Sizes(shape, depth, patch)
        keys = iter(jax.random.split(key, len(sizes.widths) + 2))
        self.patch, self.dtype, self.shape = patch, dtype, tuple(shape)
        colors = shape[-1] * patch**2
        self.stem = None if patch == 1 else nn.Linear(colors, sizes.channels[0], key=next(keys))
        pairs = zip(sizes.channels, sizes.channels[1:], strict=False)
        self.layers = tuple(nn.Linear(16 * n, m, key=next(keys)) for n, m in pairs)
        self.output = None if out_size is None else nn.Linear(sizes.flat, out_size, key=next(keys))

    def __call__(self, picture: Float[Array, "height width colors"]) -> Float[Array, "out"]:
        x = picture.astype(self.dtype)
        if self.stem is not None:
            x = selu(_times(_to_blocks(x, self.patch), self.stem))
        for layer in self.layers:
            odd = x.shape[0] % 2
            x = _to_blocks(jnp.pad(x, ((1, 1 + odd), (1, 1 + odd), (0, 0))), 2)
            x = selu(_corners_times(x, layer))
        x = x.ravel().astype(jnp.float32)
        return x if self.output is None else self.output(x)


class PixelDecoder(Module):
    """A vector to (the mean of) a picture with values in ±0.5.

    Arguments:
        in_size: length of the vector.
        shape, depth, patch: as of `Sizes`.
        dtype: of the activations, "float32" or "bfloat16".
    """

    patch: int = field(static=True)
    dtype: str = field(static=True)
    widths: tuple[int, ...] = field(static=True)
    input: nn.Linear
    layers: tuple[nn.Linear, ...]
    stem: nn.Linear | None

    def __init__(
        self,
        in_size: int,
        shape: tuple[int, ...],
        depth: int,
        *,
        patch: int = 1,
        dtype: str = "float32",
        key: PRNGKeyArray,
    ):
        sizes = Sizes(shape, depth, patch)
        keys = iter(jax.random.split(key, len(sizes.widths) + 2))
        self.patch, self.widths, self.dtype = patch, tuple(sizes.widths[::-1]), dtype
        channels = sizes.channels[::-1]
        self.input = nn.Linear(in_size, self.widths[0] ** 2 * channels[0], key=next(keys))
        pairs = zip(channels, channels[1:], strict=False)
        self.layers = tuple(nn.Linear(4 * n, 4 * m, key=next(keys)) for n, m in pairs)
        colors = _COLORS * patch**2
        self.stem = None if patch == 1 else nn.Linear(channels[-1], colors, key=next(keys))

    def __call__(self, vector: Float[Array, "n"]) -> Float[Array, "height width 3"]:
        x = selu(self.input(vector)).reshape(self.widths[0], self.widths[0], -1)
        x = x.astype(self.dtype)
        for i, (layer, width) in enumerate(zip(self.layers, self.widths[1:], strict=True)):
            x = self.enlarge(x, layer, width)
            if self.stem is not None or i < len(self.layers) - 1:
                x = selu(x)
        x = x if self.stem is None else _from_blocks(_times(x, self.stem), self.patch)
        return x.astype(jnp.float32)

    @staticmethod
    def enlarge(
        x: Float[Array, "h w n"], layer: nn.Linear, width: int
    ) -> Float[Array, "width width m"]:
        """One transposed convolution, cut to `width` pixels (2 h or 2 h - 1)."""
        blocks = _corners_times(jnp.pad(x, ((1, 1), (1, 1), (0, 0))), layer)
        return _from_blocks(blocks, 2)[1 : width + 1, 1 : width + 1]


def pixel_pair(
    shape: tuple[int, ...],
    embedding_size: int,
    visible_size: int,
    depth: int,
    patch: int,
    *,
    stack: int = 1,
    dtype: str = "float32",
    key: PRNGKeyArray,
) -> tuple[PixelEncoder, PixelDecoder]:
    """Encoder to `embedding_size` numbers and decoder of `visible_size`; the rest as of `Sizes`.

    The encoder sees the last `stack` pictures, the decoder draws one.
    """
    k_encoder, k_decoder = jax.random.split(key)
    form = {"patch": patch, "dtype": dtype}
    seen = (*shape[:2], stack * shape[2])
    encoder = PixelEncoder(seen, embedding_size, depth, **form, key=k_encoder)
    return encoder, PixelDecoder(visible_size, shape, depth, **form, key=k_decoder)


def _times(x: Float[Array, "*places n"], layer: nn.Linear) -> Float[Array, "*places m"]:
    """The layer at every place."""
    bias = jnp.reshape(layer.bias, (1,) * (x.ndim - 1) + (-1,))
    return x @ layer.weight.T.astype(x.dtype) + bias.astype(x.dtype)


def _corners_times(x: Float[Array, "h w n"], layer: nn.Linear) -> Float[Array, "h-1 w-1 m"]:
    """The layer at every square of 2 × 2 neighbours, their channels behind one another."""
    h, w = x.shape[0] - 1, x.shape[1] - 1
    weights = jnp.split(layer.weight.T.astype(x.dtype), len(_CORNERS))
    pairs = zip(_CORNERS, weights, strict=True)
    products = (x[i : i + h, j : j + w] @ weight for (i, j), weight in pairs)
    return sum(products, jnp.reshape(layer.bias, (1, 1, -1)).astype(x.dtype))


def _to_blocks(x: Float[Array, "H W n"], side: int) -> Float[Array, "h w m"]:
    """Every block of side × side pixels as one place with all of its values as channels."""
    h, w, n = x.shape[0] // side, x.shape[1] // side, x.shape[2]
    return x.reshape(h, side, w, side, n).swapaxes(1, 2).reshape(h, w, side * side * n)


def _from_blocks(x: Float[Array, "h w m"], side: int) -> Float[Array, "H W n"]:
    """The inverse of `_to_blocks`."""
    h, w, m = x.shape
    n = m // (side * side)
    return x.reshape(h, w, side, side, n).swapaxes(1, 2).reshape(h * side, w * side, n)
