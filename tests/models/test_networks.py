"""Pieces of networks that we wrote ourselves, beside JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np

from shared.models.networks import Normalizer, orthogonal_matrix, selu
from shared.types import Spec


def test_selu_and_its_slope_are_those_of_jax():
    x = jnp.asarray([-200.0, -20.0, -1.5, -1e-3, -1e-9, 0.0, 1e-9, 0.3, 50.0])
    for ours, theirs in ((selu, jax.nn.selu), (jax.grad(selu), jax.grad(jax.nn.selu))):
        np.testing.assert_allclose(jax.vmap(ours)(x), jax.vmap(theirs)(x), rtol=1e-6, atol=3e-7)


def test_orthogonal_matrices_of_many_seeds_do_not_wait_for_each_other():
    """Two batched decompositions of one program hung here, on two cores, without an end."""
    keys = jax.random.split(jax.random.key(0), (3, 2))

    @jax.jit
    def draw(keys):
        many = jax.vmap(jax.vmap(lambda k: orthogonal_matrix((64, 32), 2.0, key=k)))
        return many(keys), many(keys[::-1])

    for _ in range(3):
        first, second = jax.block_until_ready(draw(keys))
    one = jax.nn.initializers.orthogonal(2.0)(keys[1, 1], (64, 32))
    np.testing.assert_allclose(first[1, 1], one, atol=1e-6)
    np.testing.assert_array_equal(second[1, 1], first[1, 1])
    np.testing.assert_allclose(first[0, 0].T @ first[0, 0], 4 * np.eye(32), atol=1e-4)


def test_a_column_of_a_tiny_unit_is_not_erased():
    """Ordinary columns, constant ones, and what varies by rounding keep the fixed floor."""
    mean = np.float32([0.3, 1e-5, 0.0, 7.0, 1.0])
    std = np.float32([0.5, 1e-6, 1e-30, 0.0, 5e-7])
    spec = Spec((5,), 1, mean, std, np.zeros(2, np.float32))
    normalizer = Normalizer.of(spec)
    assert np.asarray(normalizer.scale).tolist() == [
        *(std[:1] + np.float32(1e-3)),
        *std[1:3],
        *(std[3:] + np.float32(1e-3)),
    ]
    seen = normalizer(jnp.asarray(mean + std))
    np.testing.assert_allclose(seen, [0.5 / 0.501, 1, 1, 0, 5e-4], rtol=0.1, atol=1e-6)
    np.testing.assert_allclose(normalizer.inverse(seen), mean + std, rtol=1e-6)
