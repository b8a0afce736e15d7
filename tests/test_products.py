"""Products with bfloat16 operands: the right numbers, gradients and batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.networks import MLP, Critics
from shared.products import UNROLLED, HalfWeight, half_product


def rounded(x):
    return np.asarray(jnp.asarray(x).astype(jnp.bfloat16).astype(jnp.float32))


def test_it_is_the_exact_product_of_rounded_operands():
    x = jax.random.normal(jax.random.key(0), (40, 24))
    weight = jax.random.normal(jax.random.key(1), (24, 16))
    weighting = jax.random.normal(jax.random.key(2), (40, 16))

    @jax.jit
    def compute(x, weight):
        def product(x, weight):
            return jax.vmap(half_product, (0, None))(x, HalfWeight.of(weight))

        def loss(x, weight):
            return jnp.sum(weighting * product(x, weight))

        return product(x, weight), jax.grad(loss, (0, 1))(x, weight)

    y, (dx, dw) = compute(x, weight)
    np.testing.assert_allclose(y, rounded(x) @ rounded(weight), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dx, rounded(weighting) @ rounded(weight).T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dw, rounded(x).T @ rounded(weighting), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seeds", [1, 2, UNROLLED + 1])
def test_seeds_members_and_rows_in_any_nesting(seeds):
    """The way an algorithm uses it: seeds of the gradient of a batch of an ensemble."""
    critics = [Critics(5, 3, (32, 32), key=jax.random.key(i)) for i in range(seeds)]
    critics = jax.tree.map(lambda *x: jnp.stack(x), *critics)
    s, a = (jax.random.normal(jax.random.key(i), (seeds, 12, n)) for i, n in ((8, 5), (9, 3)))

    def loss(critic, s, a):
        return jnp.mean(jax.vmap(critic)(s, a) ** 2)

    def compute(precision):
        with jax.default_matmul_precision(precision):
            return jax.jit(jax.vmap(jax.value_and_grad(loss)))(critics, s, a)

    exact, rough = map(compute, ("default", "bfloat16"))
    for x, y in zip(jax.tree.leaves(exact), jax.tree.leaves(rough), strict=True):
        assert np.linalg.norm(x - y) <= 0.05 * np.linalg.norm(x)
    assert not np.array_equal(exact[0], rough[0])


def test_rows_along_two_axes_share_one_weight():
    network = MLP(4, 2, (16, 16), key=jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (UNROLLED + 2, 7, 4))

    def gradient(precision):
        with jax.default_matmul_precision(precision):
            loss = jax.jit(jax.grad(lambda m, x: jnp.sum(jax.vmap(jax.vmap(m))(x) ** 2)))
            return loss(network, x)

    for x, y in zip(*(jax.tree.leaves(gradient(p)) for p in ("default", "bfloat16")), strict=True):
        assert np.linalg.norm(x - y) <= 0.05 * np.linalg.norm(x)
