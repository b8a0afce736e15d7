"""The squashing map at the edges of [-1, 1]."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.models.distributions import EDGE, bounded, held, log_one_minus_tanh_squared
from shared.models.policies import BoundedLatentPolicy, place
from shared.types import Box


def test_the_log_density_of_tanh_is_exact_where_tanh_rounds_to_one():
    x = np.array([-40.0, -9.0, -1.0, 0.0, 0.3, 9.0, 40.0])
    exact = 2 * (np.log(2.0) - np.abs(x) - np.log1p(np.exp(-2 * np.abs(x))))
    found = log_one_minus_tanh_squared(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)


def test_held_stops_where_a_gradient_is_left_and_lets_it_lead_back():
    x = jnp.array([-50.0, -1.0, 0.0, 1.0, 50.0])
    inside = jnp.tanh(held(x))
    assert float(jnp.max(jnp.abs(inside))) < 1 - EDGE
    # Descent along +1 moves down: back inside from 50, further out from -50.
    down = jax.grad(lambda x: jnp.sum(held(x)))(x)
    np.testing.assert_array_equal(down, [0, 1, 1, 1, 1])
    up = jax.grad(lambda x: -jnp.sum(held(x)))(x)
    np.testing.assert_array_equal(up, [-1, -1, -1, -1, 0])


def test_a_saturated_policy_finds_back():
    box = Box(jnp.zeros(1), jnp.ones(1))
    x = jnp.array([40.0])
    step = jax.jit(jax.grad(lambda x: jnp.sum((jnp.arctanh(bounded(place(x, box))) - 1.0) ** 2)))
    for _ in range(200):
        x = x - 0.5 * jnp.clip(step(x), -1, 1)
    assert abs(float(x[0]) - 1.0) < 1e-2


@pytest.mark.parametrize("mean", [0.3, 40.0])
def test_the_density_of_a_sample_is_that_of_where_it_came_from(mean):
    """At the edge of the box too, where the sample itself no longer tells."""
    policy = BoundedLatentPolicy(1, 2, (), key=jax.random.key(0))
    bias = jnp.array([mean, -mean, -3.0, -3.0])
    policy = eqx.tree_at(lambda p: p.network.layers[0].bias, policy, bias)
    box, nothing = Box(jnp.ones(2), jnp.full(2, 0.5)), jnp.zeros(1)
    latent, log_prob = policy.sample_with_log_prob(nothing, box, key=jax.random.key(1))
    np.testing.assert_array_equal(latent, policy.sample(nothing, box, key=jax.random.key(1)))
    x = np.float64(bias[:2] + jnp.exp(-3.0) * jax.random.normal(jax.random.key(1), (2,)))
    gaussian = -((x - np.float64(bias[:2])) ** 2) / (2 * np.exp(-6.0)) + 3 - np.log(2 * np.pi) / 2
    squash = 2 * (np.log(2) - np.abs(x) - np.log1p(np.exp(-2 * np.abs(x))))
    np.testing.assert_allclose(log_prob, np.sum(gaussian - squash), rtol=1e-5)
    if mean < 1:
        np.testing.assert_allclose(log_prob, policy.log_prob(nothing, latent, box), rtol=1e-3)
