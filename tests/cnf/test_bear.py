"""BEAR against slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow

from cnf.algorithms.bear import mmd


@pytest.fixture(scope="module")
def case():
    return slow.setup("bear", samples=3, kernel_width=2.0)


def slow_mmd(x, y, width):
    def kernel(a, b):
        return np.mean([[np.exp(-np.sum(np.abs(i - j)) / (2 * width)) for j in b] for i in a])

    return np.sqrt(kernel(x, x) + kernel(y, y) - 2 * kernel(x, y) + 1e-6)


def gaussian(model, s):
    mean, log_std = np.split(slow.mlp(model.network, s), 2)
    return mean, np.exp(np.clip(log_std, -20, 2))


def test_the_distance_of_equal_and_far_samples():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(50, 2)), jnp.float32)
    assert mmd(x, x, 1.0) < 0.002
    np.testing.assert_allclose(mmd(x, x + 1000, 1.0) ** 2, 2 * slow_mmd_self(x), rtol=1e-4)


def slow_mmd_self(x):
    return np.mean([[np.exp(-np.sum(np.abs(i - j)) / 2) for j in x] for i in x])


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    update = jax.jit(lambda *a, **k: algorithm.update(*a, **k, q_weight=1.0))
    _, metrics = update(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    keys = jax.random.split(jax.random.split(key)[0], slow.ROWS)
    y = []
    for i in range(slow.ROWS):
        values = []
        mean, std = gaussian(state.target_actor, s_next[i])
        for k in jax.random.split(keys[i], 3):
            a = np.tanh(mean + std * np.asarray(jax.random.normal(k, mean.shape)))
            q = slow.critics(state.target_critic, s_next[i], a)
            values.append(0.75 * q.min() + 0.25 * q.max())
        y.append(
            slow.td_target(batch.reward[i], batch.terminal[i], max(values), algorithm.discount)
        )
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


@pytest.mark.parametrize("q_weight", [0.0, 1.0])
def test_the_actor_loss(case, q_weight):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    keys = jax.random.split(jax.random.key(5), slow.ROWS)
    actor, critic = state.actor.model, state.critic.model
    loss, metrics = algorithm.actor_loss(actor, state, critic, s, keys, q_weight=q_weight)
    terms, distances = [], []
    for i in range(slow.ROWS):
        k_clone, k_policy = jax.random.split(keys[i])
        z = np.clip(jax.random.normal(k_clone, (3, 4)), -0.5, 0.5)
        clone = [slow.mlp(state.latent_space.decoder, np.concatenate([s[i], x])) for x in z]
        mean, std = gaussian(actor, s[i])
        policy = mean + std * np.clip(jax.random.normal(k_policy, (3, 2)), -0.5, 0.5)
        q = np.mean([slow.critics(critic, s[i], np.tanh(x)) for x in policy], axis=0).min()
        distances.append(slow_mmd(clone, policy, 2.0))
        multiplier = np.exp(float(state.log_multiplier.model))
        terms.append(multiplier * distances[-1] - q_weight * q)
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(metrics["mmd"], np.mean(distances), rtol=1e-3)


def test_the_multiplier_grows_while_the_distance_is_too_large(case):
    algorithm, state, _ = case
    log_multiplier = state.log_multiplier.model
    gradient = jax.grad(lambda m, distance: algorithm.multiplier_loss(m, distance)[0])
    assert gradient(log_multiplier, np.float32(0.5)) < 0 < gradient(log_multiplier, np.float32(0.0))


def test_it_acts_by_the_best_of_its_samples_with_and_without_a_key(case):
    algorithm, state, batch = case
    for key in (jax.random.key(4), None):
        drawn = jax.random.split(jax.random.key(0) if key is None else key, 3)
        for observation in batch.observation[:4]:
            s = np.asarray(slow.normalized(state, observation))
            mean, std = gaussian(state.actor.model, s)
            actions = [
                np.tanh(mean + std * np.asarray(jax.random.normal(k, mean.shape))) for k in drawn
            ]
            best = max(actions, key=lambda a: slow.critics(state.critic.model, s, a)[0])
            action, _ = algorithm.act(state, (), observation, key=key)
            np.testing.assert_allclose(action, best, rtol=1e-4, atol=1e-5)
