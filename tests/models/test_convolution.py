"""The pair for pictures against XLA's own convolutions, at both sizes of V-D4RL."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.errors import ConfigError
from shared.models.convolution import PixelDecoder, PixelEncoder, Sizes

OUT, DEPTH = 5, 2
CASES = [(64, 1), (84, 1), (84, 4)]


def make_pair(side, patch):
    k_encoder, k_decoder = jax.random.split(jax.random.key(0))
    shape = (side, side, 3)
    encoder = PixelEncoder(shape, OUT, DEPTH, patch=patch, key=k_encoder)
    return encoder, PixelDecoder(OUT, shape, DEPTH, patch=patch, key=k_decoder)


def kernel_of(layer, n):
    """Weights by corner, block row and block column as a kernel of 4 × 4 pixels."""
    weight = layer.weight.T.reshape(2, 2, 2, 2, n, -1)
    return weight.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, n, -1)


def encode(encoder, picture):
    """The same by convolutions of XLA; patches are a kernel as large as its stride."""
    form = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    x = picture[None]
    if encoder.stem is not None:
        p = encoder.patch
        kernel = encoder.stem.weight.T.reshape(p, p, 3, -1)
        x = jax.lax.conv_general_dilated(x, kernel, (p, p), "VALID", **form)
        x = jax.nn.selu(x + encoder.stem.bias[None, None, None])
    for layer in encoder.layers:
        pad = ((1, 1 + x.shape[1] % 2),) * 2
        x = jax.lax.conv_general_dilated(x, kernel_of(layer, x.shape[3]), (2, 2), pad, **form)
        x = jax.nn.selu(x + layer.bias[None, None, None])
    return encoder.output(x.ravel())


def transposed(x, layer):
    """Every input pixel adds a picture of 4 × 4 pixels, two apart; one of them is cut off."""
    height, width, n = x.shape
    # Corner (i, j) of the neighbours looks at the pixel before (0) or behind (1) the block.
    weight = np.asarray(layer.weight).T.reshape(2, 2, n, 2, 2, -1)
    kernel = weight[::-1, ::-1].transpose(0, 3, 1, 4, 2, 5).reshape(4, 4, n, -1)
    out = np.zeros((2 * height + 2, 2 * width + 2, kernel.shape[-1]))
    for i in range(height):
        for j in range(width):
            part = np.einsum("n,abnm->abm", x[i, j], kernel)
            out[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += part
    return out[1:-1, 1:-1]


@pytest.mark.parametrize(("side", "patch"), CASES)
def test_the_pair_has_the_shapes_and_a_gradient_for_every_weight(side, patch):
    pair = make_pair(side, patch)
    picture = jax.random.uniform(jax.random.key(1), (side, side, 3)) - 0.5

    @jax.jit
    def gradient(arrays):
        def loss(arrays):
            encoder, decoder = eqx.combine(arrays, rest)
            vector = encoder(picture)
            decoded = decoder(vector)
            return jnp.sum((decoded - picture) ** 2), (vector, decoded)

        return jax.grad(loss, has_aux=True)(arrays)

    arrays, rest = eqx.partition(pair, eqx.is_array)
    found, (vector, decoded) = gradient(arrays)
    assert vector.shape == (OUT,) and decoded.shape == picture.shape
    assert all(np.isfinite(x).all() and np.abs(x).max() > 0 for x in jax.tree.leaves(found))
    np.testing.assert_allclose(vector, encode(pair[0], picture), rtol=1e-4, atol=1e-5)


def test_a_decoder_layer_is_a_transposed_convolution():
    _, decoder = make_pair(64, 1)
    layer = decoder.layers[0]
    x = jax.random.normal(jax.random.key(2), (4, 4, layer.in_features // 4))
    found = decoder.enlarge(x, layer, 8)
    bias = np.tile(np.asarray(layer.bias).reshape(2, 2, -1), (5, 5, 1))[1:-1, 1:-1]
    expected = transposed(np.asarray(x), layer) + bias
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_time_batch_and_seeds_become_one_product_a_corner():
    """Neither a loop, nor a (grouped) convolution, nor a product an event."""
    encoder, _ = make_pair(64, 4)
    pictures = jnp.zeros((2, 3, 4, 64, 64, 3))
    arrays, rest = eqx.partition(encoder, eqx.is_array)
    both = jax.tree.map(lambda x: jnp.stack([x, x]), arrays)

    def count(function, *arguments):
        names = str(jax.make_jaxpr(function)(*arguments)).split()
        return {x: names.count(x) for x in names if x in PRIMITIVES or x.startswith("conv_")}

    def one(arrays, pictures):
        return eqx.combine(arrays, rest)(pictures)

    events = jax.vmap(jax.vmap(one, (None, 0)), (None, 0))
    seeds = jax.vmap(events)
    plain = count(one, arrays, pictures[0, 0, 0])
    assert 0 < sum(plain.values()) == sum(count(seeds, both, pictures).values())


PRIMITIVES = ("scan", "while", "dot_general[")


@pytest.mark.parametrize(
    ("shape", "patch", "message"),
    [((64, 64, 3), 5, "cnn_patch is 5"), ((64, 60, 3), 1, "must be square")],
)
def test_pictures_that_do_not_fit_are_refused(shape, patch, message):
    with pytest.raises(ConfigError, match=message):
        Sizes(shape, 4, patch)
