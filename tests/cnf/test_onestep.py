"""One-step RL against slow NumPy."""

import equinox as eqx
import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module", params=["exponential", "reverse-kl"])
def case(request):
    algorithm, state, batch = slow.setup(
        "onestep", improvement=request.param, temperature=0.5, samples=3
    )
    other = jax.tree.map(lambda x: 0.5 * x, state.clone.model)
    clone = eqx.tree_at(lambda c: c.model, state.clone, other)
    return algorithm, state._replace(clone=clone), batch


def gaussian(model, s):
    mean, log_std = np.split(slow.mlp(model.network, s), 2)
    return mean, np.exp(np.clip(log_std, -20, 2))


def sample(model, s, key):
    mean, std = gaussian(model, s)
    return np.tanh(mean + std * np.asarray(jax.random.normal(key, mean.shape)))


def test_the_critic_loss(case):
    algorithm, state, batch = case
    data_next = np.asarray(batch.action)[::-1].copy()
    after, metrics = jax.jit(algorithm.evaluate)(state, (batch, data_next), key=jax.random.key(0))
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        value = slow.critics(state.target_critic, s_next[i], data_next[i]).min()
        y.append(slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)
    tau, names = algorithm.tau, (state.target_critic, after.critic.model, after.target_critic)
    for t, o, n in zip(*map(jax.tree.leaves, names), strict=True):
        np.testing.assert_allclose(n, (1 - tau) * t + tau * o, rtol=1e-5, atol=1e-7)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, a = slow.normalized(state, batch.observation), np.asarray(batch.action, np.float64)
    keys = jax.random.split(key, slow.ROWS)
    actor, clone, critic, terms = state.actor.model, state.clone.model, state.critic.model, []
    for i in range(slow.ROWS):
        mean, std = gaussian(actor, s[i])
        if algorithm.improvement == "exponential":
            actions = [sample(clone, s[i], k) for k in jax.random.split(keys[i], 3)]
            baseline = np.mean([slow.critics(critic, s[i], x).min() for x in actions])
            advantage = slow.critics(critic, s[i], a[i]).min() - baseline
            log_prob = slow.normal_log_prob(np.arctanh(a[i]), mean, std)
            log_prob -= np.sum(np.log(1 - a[i] ** 2))
            terms.append(-min(np.exp(advantage / 0.5), 100.0) * log_prob)
        else:
            n, e = gaussian(clone, s[i])
            kl = np.sum(np.log(e / std) + (std**2 + (mean - n) ** 2) / (2 * e**2) - 0.5)
            value = slow.critics(critic, s[i], sample(actor, s[i], keys[i])).min()
            terms.append(0.5 * kl - value)
    np.testing.assert_allclose(metrics["actor_loss"], np.mean(terms), rtol=1e-3, atol=1e-5)


def test_the_policy_starts_from_the_clone(case):
    algorithm, state, _ = case
    started = algorithm.start(state, None, key=jax.random.key(0))
    for x, y in zip(*map(jax.tree.leaves, (started.actor.model, state.clone.model)), strict=True):
        np.testing.assert_array_equal(x, y)
