"""BRAC-v against slow NumPy."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("brac-v", penalty_scale=0.4)


def gaussian(model, s):
    mean, log_std = np.split(slow.mlp(model.network, s), 2)
    return mean, np.exp(np.clip(log_std, -20, 2))


def kl(policy, clone, s):
    (m, d), (n, e) = gaussian(policy, s), gaussian(clone, s)
    return np.sum(np.log(e / d) + (d**2 + (m - n) ** 2) / (2 * e**2) - 0.5)


def test_the_clone(case):
    algorithm, state, batch = case
    _, metrics = jax.jit(algorithm.imitate)(state, batch, key=jax.random.key(0))
    s = slow.normalized(state, batch.observation)
    terms = []
    for x, a in zip(s, np.asarray(batch.action, np.float64), strict=True):
        mean, std = gaussian(state.clone.model, x)
        terms.append(np.sum(np.log(1 - a**2)) - slow.normal_log_prob(np.arctanh(a), mean, std))
    np.testing.assert_allclose(metrics["clone_nll"], np.mean(terms), rtol=1e-3)


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    keys = jax.random.split(jax.random.split(key)[0], slow.ROWS)
    actor, clone, y = state.actor.model, state.clone.model, []
    for i in range(slow.ROWS):
        mean, std = gaussian(actor, s_next[i])
        a_next = np.tanh(mean + std * np.asarray(jax.random.normal(keys[i], mean.shape)))
        value = slow.critics(state.target_critic, s_next[i], a_next).min()
        value -= 0.4 * kl(actor, clone, s_next[i])
        y.append(slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    keys = jax.random.split(jax.random.key(4), slow.ROWS)
    actor, clone, critic = state.actor.model, state.clone.model, state.critic.model
    loss, _ = algorithm.actor_loss(actor, clone, critic, s, keys)
    terms = []
    for i in range(slow.ROWS):
        mean, std = gaussian(actor, s[i])
        a = np.tanh(mean + std * np.asarray(jax.random.normal(keys[i], mean.shape)))
        terms.append(0.4 * kl(actor, clone, s[i]) - slow.critics(critic, s[i], a).min())
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)
