"""The flow-matching latent space: its loss, its decoder, its inverse, its density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow
from scipy.integrate import solve_ivp

from shared.errors import ConfigError
from shared.models.flow_matching import FlowMatching, draw_matching, matching_loss

CONDITION = jnp.asarray([0.3, -1.2, 0.8])


def make(flow_steps=10, action_size=2, scale=2.0):
    """A field that bends: weights larger than at the start of training."""
    flow = FlowMatching(3, action_size, hidden_sizes=(16, 16), flow_steps=flow_steps, key=KEY)
    return jax.tree.map(lambda x: scale * x, flow)


KEY = jax.random.key(4)


def test_the_matching_loss_is_that_of_straight_lines():
    flow, rng = make(), np.random.default_rng(0)
    s, a = rng.normal(size=(5, 3)).astype("f4"), rng.uniform(-1, 1, (5, 2)).astype("f4")
    noise, time = draw_matching(jnp.asarray(a), key=jax.random.key(1))
    assert noise.shape == a.shape and time.shape == (5,)
    assert 0 <= time.min() and time.max() <= 1
    loss, metrics = matching_loss(flow, jnp.asarray(s), jnp.asarray(a), noise, time)
    terms = []
    for i in range(5):
        n, t = np.asarray(noise[i]), float(time[i])
        x = (1 - t) * n + t * a[i]
        v = slow.mlp(flow.network, np.concatenate([s[i], x, [t]]), slow.gelu)
        terms.append(np.mean((v - (a[i] - n)) ** 2))
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-5)
    assert metrics["flow_loss"] == loss


def test_the_decoder_approaches_a_reference_solver():
    """Euler's error falls with the number of steps, towards a solver that somebody else wrote."""
    latent = np.array([0.4, -0.3])

    def field(time, x):
        return slow.mlp(make().network, np.concatenate([CONDITION, x, [time]]), slow.gelu)

    exact = solve_ivp(field, (0, 1), latent, rtol=1e-8, atol=1e-10).y[:, -1]
    assert np.abs(exact).max() < 1, "the case must not be clipped"
    decoded = [make(steps).decode(CONDITION, jnp.asarray(latent, "f4")) for steps in (10, 80)]
    errors = [np.abs(x - exact).max() for x in decoded]
    assert errors[0] < 0.1 and errors[1] < errors[0] / 6


def test_encoding_inverts_this_very_decoder():
    flow = make(flow_steps=4, scale=1.0)
    latents = 0.3 * jax.random.normal(jax.random.key(2), (20, 2))
    actions = jax.vmap(lambda z: flow.decode(CONDITION, z))(latents)
    assert np.abs(actions).max() < 1
    again = jax.vmap(lambda a: flow.encode(CONDITION, a))(actions)
    np.testing.assert_allclose(again, latents, atol=1e-5)


def test_where_a_field_folds_the_noise_stays_finite():
    """Some actions are the end of no noise there, others of several."""
    flow = make(flow_steps=4, scale=8.0)
    actions = jnp.linspace(-1, 1, 40).reshape(20, 2)
    noise = jax.vmap(lambda a: flow.encode(CONDITION, a))(actions)
    assert np.isfinite(noise).all() and np.abs(noise).max() < 100


def test_the_density_is_that_of_the_decoded_noise():
    """It integrates to one, and agrees with a histogram of decoded noise."""
    flow = make(flow_steps=4, action_size=1, scale=1.0)
    grid = jnp.linspace(-8, 8, 4001)[:, None]
    density = jnp.exp(jax.vmap(lambda a: flow.log_prob(CONDITION, a))(grid))
    width = float(grid[1, 0] - grid[0, 0])
    assert float(density.sum()) * width == pytest.approx(1, abs=1e-3)
    noise = jax.random.normal(jax.random.key(3), (40_000, 1))
    inside = (np.abs(np.asarray(grid[:, 0])) < 0.5).astype(float)
    expected = float((density * inside).sum()) * width
    decoded = np.asarray(jax.vmap(lambda z: flow.decode(CONDITION, z))(noise))
    assert np.mean(np.abs(decoded) < 0.5) == pytest.approx(expected, abs=0.01)


def test_the_box_is_exact_and_actions_end_at_one():
    flow = make(scale=8.0)
    box = flow.box(CONDITION, 0.4)
    np.testing.assert_array_equal(box.center - box.half_width, np.full(2, -0.4, np.float32))
    assert flow.box(CONDITION) is None
    actions = jax.vmap(lambda z: flow.decode(CONDITION, z))(
        5 * jax.random.normal(jax.random.key(5), (50, 2))
    )
    assert np.abs(actions).max() == 1.0


def test_no_step_is_refused():
    with pytest.raises(ConfigError, match="flow_steps is 0"):
        make(flow_steps=0)
