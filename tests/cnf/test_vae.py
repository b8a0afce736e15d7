"""PLAS's VAE: its two terms, its bounds, and that it learns."""

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnf.vae import LOG_STD_RANGE, ConditionalVAE, kl_to_standard_normal
from shared.errors import ConfigError
from shared.models.learner import Learner, descend


def make_vae(action_size=2, **more):
    settings = {"hidden_sizes": (16, 16), "key": jax.random.key(0)} | more
    return ConditionalVAE(3, action_size, **settings)


def test_kl_agrees_with_distrax():
    mean, log_std = jnp.array([0.3, -2.0, 0.0]), jnp.array([-4.0, 0.5, 3.0])
    expected = distrax.Normal(mean, jnp.exp(log_std)).kl_divergence(distrax.Normal(0.0, 1.0))
    np.testing.assert_allclose(kl_to_standard_normal(mean, log_std), expected, rtol=1e-5)


def test_loss_is_the_mean_square_and_the_mean_kl():
    vae = make_vae()
    condition, action, key = jnp.ones(3), jnp.array([0.5, -1.0]), jax.random.key(1)
    reconstruction, kl = vae.terms(condition, action, key=key)
    mean, log_std = vae.posterior(condition, action)
    decoded = vae.decode(condition, vae.encode(condition, action, key=key))
    np.testing.assert_allclose(reconstruction, np.mean((decoded - action) ** 2), rtol=1e-5)
    np.testing.assert_allclose(kl, np.mean(kl_to_standard_normal(mean, log_std)), rtol=1e-6)


def test_the_bound_is_the_training_loss_up_to_scale_and_a_constant():
    """log p(a|s) ≥ const - m / kl_weight · (reconstruction + kl_weight · kl)."""
    vae = make_vae(3, kl_weight=0.5)
    key, condition = jax.random.key(1), jnp.ones(3)

    def both(action):
        loss = vae.loss(condition, action, key=key)
        return vae.log_prob(condition, action, key=key) + vae.latent_size / 0.5 * loss

    actions = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (5, 3)), jnp.float32)
    constants = jax.vmap(both)(actions)
    np.testing.assert_allclose(constants, np.full(5, -1.5 * np.log(2 * np.pi / 8)), rtol=1e-4)


def test_importance_samples_approach_the_density():
    """Which is an integral over the prior, done here on a grid of the one latent."""
    settings = {"action_size": 1, "latent_size": 1, "kl_weight": 0.2}
    vae = make_vae(**settings, samples=1)
    many = make_vae(**settings, samples=4000)
    condition, action = jnp.array([1.0, -1.0, 2.0]), jnp.array([0.7])
    z = jnp.linspace(-6, 6, 1201)
    decoded = jax.vmap(lambda z: vae.decode(condition, z[None]))(z)[:, 0]
    likelihood = distrax.Normal(decoded, jnp.sqrt(0.1)).prob(action)
    exact = np.log(np.sum(likelihood * distrax.Normal(0.0, 1.0).prob(z)) * 0.01)
    estimate = many.log_prob(condition, action, key=jax.random.key(3))
    np.testing.assert_allclose(estimate, exact, atol=0.02)
    keys = jax.random.split(jax.random.key(4), 500)
    bound = jnp.mean(jax.vmap(lambda k: vae.log_prob(condition, action, key=k))(keys))
    assert bound < exact


def test_several_samples_need_a_key():
    with pytest.raises(ValueError, match="key"):
        make_vae(samples=2).log_prob(jnp.ones(3), jnp.ones(2))


def test_posterior_is_clipped_and_decoder_is_bounded():
    vae = make_vae()
    vae = jax.tree.map(lambda x: 1e3 * x if eqx.is_inexact_array(x) else x, vae)
    generator = np.random.default_rng(0)
    for _ in range(5):
        condition = jnp.asarray(generator.standard_normal(3), jnp.float32)
        action = jnp.asarray(generator.uniform(-1, 1, 2), jnp.float32)
        mean, log_std = vae.posterior(condition, action)
        assert np.all(log_std >= LOG_STD_RANGE[0]) and np.all(log_std <= LOG_STD_RANGE[1])
        assert np.all(np.abs(vae.decode(condition, 100 * mean)) <= 1)
        assert np.all(np.isfinite(vae.loss(condition, action, key=jax.random.key(0))))


def test_box():
    assert make_vae().box(jnp.ones(3)) is None
    box = make_vae().box(jnp.ones(3), 2.0)
    np.testing.assert_array_equal(box.center, np.zeros(4))
    np.testing.assert_array_equal(box.half_width, np.full(4, 2.0))


@pytest.mark.parametrize("wrong", [{"kl_weight": -1.0}, {"samples": 0}])
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        make_vae(**wrong)


def test_reconstruction_learns():
    vae, optimizer = make_vae(hidden_sizes=(32, 32)), optax.adam(3e-3)
    generator = np.random.default_rng(0)
    conditions = jnp.asarray(generator.standard_normal((512, 3)), jnp.float32)
    sign = jnp.asarray(generator.choice([-0.8, 0.8], 512), jnp.float32)
    actions = jnp.stack([jnp.tanh(conditions[:, 0]), sign], axis=1)

    def loss(vae, key):
        keys = jax.random.split(key, 512)
        error, kl = jax.vmap(lambda s, a, k: vae.terms(s, a, key=k))(conditions, actions, keys)
        error = jnp.mean(error)
        return error + 0.05 * jnp.mean(kl), {"reconstruction": error}

    arrays, static = eqx.partition(Learner.create(vae, optimizer), eqx.is_array)

    @jax.jit
    def run(arrays, keys):
        def step(arrays, key):
            learner = eqx.combine(arrays, static)
            learner, metrics = descend(learner, optimizer, lambda model: loss(model, key))
            return eqx.filter(learner, eqx.is_array), metrics["reconstruction"]

        return jax.lax.scan(step, arrays, keys)

    _, errors = run(arrays, jax.random.split(jax.random.key(1), 400))
    assert np.mean(errors[:5]) > 0.4
    assert np.mean(errors[-5:]) < 0.05
