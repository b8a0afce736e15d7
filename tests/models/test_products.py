"""Products of rows and weights: the right numbers, gradients and batches, rounded or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.models.networks import MLP, WIDE, Critics, affine
from shared.models.products import UNROLLED, Weight, product


def rounded(x):
    return np.asarray(jnp.asarray(x).astype(jnp.bfloat16).astype(jnp.float32))


@pytest.mark.parametrize(("half", "factor"), [(False, np.asarray), (True, rounded)])
def test_it_is_the_exact_product_of_its_factors(half, factor):
    x = jax.random.normal(jax.random.key(0), (40, 24))
    weight = jax.random.normal(jax.random.key(1), (16, 24))
    weighting = jax.random.normal(jax.random.key(2), (40, 16))

    @jax.jit
    def compute(x, weight):
        def loss(x, weight):
            y = jax.vmap(product, (0, None))(x, Weight.of(weight, half=half))
            return jnp.sum(weighting * y), y

        return jax.grad(loss, (0, 1), has_aux=True)(x, weight)

    (dx, dw), y = compute(x, weight)
    x, weight, weighting = map(factor, (x, weight, weighting))
    np.testing.assert_allclose(y, x @ weight.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dx, weighting @ weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dw, weighting.T @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_forward_mode_is_the_transpose_of_reverse_mode(half):
    keys = iter(jax.random.split(jax.random.key(0), 5))
    x, x_dot = (jax.random.normal(next(keys), (7, 24)) for _ in range(2))
    weight, weight_dot = (jax.random.normal(next(keys), (16, 24)) for _ in range(2))
    pulled = jax.random.normal(next(keys), (7, 16))

    def rows(x, weight):
        return jax.vmap(product, (0, None))(x, Weight.of(weight, half=half))

    _, pushed = jax.jvp(rows, (x, weight), (x_dot, weight_dot))
    x_bar, weight_bar = jax.vjp(rows, x, weight)[1](pulled)
    reverse = jnp.sum(x_bar * x_dot) + jnp.sum(weight_bar * weight_dot)
    np.testing.assert_allclose(jnp.sum(pulled * pushed), reverse, rtol=0.03 if half else 1e-4)


def test_a_weight_that_nobody_differentiates_costs_no_product():
    layer = MLP(24, 2, (16,), key=jax.random.key(0)).layers[0]

    def pulled_back(x):
        return jax.grad(lambda x: jnp.sum(jax.vmap(lambda x: affine(layer, x))(x) ** 2))(x)

    traced = str(jax.make_jaxpr(pulled_back)(jnp.ones((5, 24))))
    assert traced.count("product_of_rows") == 2  # forwards, and back to the inputs
    assert "sum_of_outer" not in traced
    assert "product_of_change" not in traced


@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_the_gradient_of_nested_batches_and_a_scan_is_one_product_of_all_rows(precision):
    network = MLP(4, 2, (16, 16), key=jax.random.key(0))

    def loss(network, x):
        def along(x):
            return jax.lax.scan(lambda _, x: (None, jax.vmap(network)(x)), None, x)[1]

        return jnp.sum(jax.vmap(along)(x) ** 2)

    with jax.default_matmul_precision(precision):
        traced = str(jax.make_jaxpr(jax.grad(loss))(network, jnp.ones((UNROLLED + 2, 3, 5, 4))))
    assert traced.count("sum_of_outer") == 3  # one a layer
    assert f"{UNROLLED + 2},16,16" not in traced  # no gradient of a single element


@pytest.mark.parametrize("seeds", [1, 2, UNROLLED + 1])
@pytest.mark.parametrize("precision", ["default", "bfloat16"])
def test_seeds_members_and_rows_in_any_nesting(seeds, precision):
    """The way an algorithm uses it: seeds of the gradient of a batch of an ensemble."""
    critics = [Critics(5, 3, (32, 32), key=jax.random.key(i)) for i in range(seeds)]
    s, a = (jax.random.normal(jax.random.key(i), (seeds, 12, n)) for i, n in ((8, 5), (9, 3)))

    def loss(critic, s, a):
        return jnp.mean(jax.vmap(critic)(s, a) ** 2)

    gradient = jax.value_and_grad(loss)
    with jax.default_matmul_precision(precision):
        alone = [jax.jit(gradient)(*args) for args in zip(critics, s, a, strict=True)]
        together = jax.tree.map(lambda *x: jnp.stack(x), *critics)
        found = jax.jit(jax.vmap(gradient))(together, s, a)
        # Batched before it is differentiated, as an ensemble inside a loss is.
        summed = jax.jit(jax.grad(lambda c, s, a: jnp.sum(jax.vmap(loss)(c, s, a))))(together, s, a)
    alone = jax.tree.map(lambda *x: np.stack(x), *alone)
    tolerance = 1e-5 if precision == "default" else 0.01
    for x, y in zip(jax.tree.leaves(alone), jax.tree.leaves(found), strict=True):
        assert np.linalg.norm(x - y) <= tolerance * np.linalg.norm(x)
    for x, y in zip(jax.tree.leaves(alone[1]), jax.tree.leaves(summed), strict=True):
        assert np.linalg.norm(x - y) <= tolerance * np.linalg.norm(x)


def test_rounded_gradients_are_near_the_exact_ones():
    critic = Critics(5, 3, (32, 32), key=jax.random.key(0))
    s, a = (jax.random.normal(jax.random.key(i), (12, n)) for i, n in ((8, 5), (9, 3)))

    def gradient(precision):
        with jax.default_matmul_precision(precision):
            return jax.jit(jax.grad(lambda m: jnp.mean(jax.vmap(m)(s, a) ** 2)))(critic)

    exact, rough = (jax.tree.leaves(gradient(p)) for p in ("default", "bfloat16"))
    for x, y in zip(exact, rough, strict=True):
        assert np.linalg.norm(x - y) <= 0.05 * np.linalg.norm(x)
    assert not all(np.array_equal(x, y) for x, y in zip(exact, rough, strict=True))


def test_layers_at_data_and_narrow_ends_keep_float32():
    def is_rounded(n_in, n_out, hidden):
        layer = MLP(n_in, 1, (n_out,), key=jax.random.key(0)).layers[0]
        with jax.default_matmul_precision("bfloat16"):
            traced = jax.make_jaxpr(lambda x: affine(layer, x, hidden=hidden))(jnp.ones(n_in))
        return "bf16" in str(traced)

    assert is_rounded(WIDE, WIDE, False)
    assert not is_rounded(WIDE - 1, WIDE, False)
    assert not is_rounded(WIDE, WIDE - 1, False)
    assert is_rounded(16, 16, True)
