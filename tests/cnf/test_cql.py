"""CQL against slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow

LAGRANGE = {"target_gap": 0.8, "gap_floor": -0.1, "max_target": True, "reward_scale": 10.0}


@pytest.fixture(scope="module", params=[{}, LAGRANGE], ids=["locomotion", "antmaze"])
def case(request):
    return slow.setup("cql", samples=3, penalty_scale=2.0, **request.param)


def sample(model, s, key):
    """Action and log-density of the tanh-Gaussian policy, on one observation."""
    mean, log_std = np.split(slow.mlp(model.network, s), 2)
    std = np.exp(np.clip(log_std, -20, 2))
    x = mean + std * np.asarray(jax.random.normal(key, mean.shape))
    return np.tanh(x), slow.normal_log_prob(x, mean, std) - np.sum(np.log(1 - np.tanh(x) ** 2))


def test_the_target(case):
    algorithm, state, batch = case
    s_next = slow.normalized(state, batch.next_observation)
    for i in range(2):
        key = jax.random.key(i)
        y = algorithm.target(state, batch.reward[i], batch.terminal[i], s_next[i], key)
        keys = jax.random.split(key, 3 if algorithm.max_target else 1)
        actions = [sample(state.actor.model, s_next[i], k)[0] for k in keys]
        value = max(slow.critics(state.target_critic, s_next[i], a).min() for a in actions)
        reward = algorithm.reward_scale * batch.reward[i]
        expected = slow.td_target(reward, batch.terminal[i], value, algorithm.discount)
        np.testing.assert_allclose(y, expected, rtol=1e-4)


def test_the_proposals(case):
    algorithm, state, batch = case
    s, s_next = (slow.normalized(state, x)[0] for x in (batch.observation, batch.next_observation))
    key = jax.random.key(0)
    actions, log_density = algorithm.propose(state.actor.model, s, s_next, key)
    _, k_now, k_next = jax.random.split(key, 3)
    np.testing.assert_allclose(log_density[:3], slow.ACTION * np.log(0.5), rtol=1e-5)
    for first, observation, k in ((3, s, k_now), (6, s_next, k_next)):
        for j, k_sample in enumerate(jax.random.split(k, 3)):
            a, log_prob = sample(state.actor.model, observation, k_sample)
            np.testing.assert_allclose(actions[first + j], a, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(log_density[first + j], log_prob, rtol=1e-3, atol=1e-4)


def test_the_critic_loss(case):
    algorithm, state, batch = case
    critic, rng = state.critic.model, np.random.default_rng(1)
    s = slow.normalized(state, batch.observation)
    actions = rng.uniform(-1, 1, (slow.ROWS, 9, slow.ACTION)).astype(np.float32)
    density = rng.normal(size=(slow.ROWS, 9)).astype(np.float32)
    y = jnp.asarray(rng.normal(size=slow.ROWS), jnp.float32)
    arguments = critic, np.float32(1.5), s, batch.action, y, (actions, density)
    loss, metrics = algorithm.critic_loss(*arguments)
    gaps = []
    for i in range(slow.ROWS):
        q = np.array([slow.critics(critic, s[i], a) for a in actions[i]])
        soft = np.log(np.sum(np.exp(q - density[i][:, None]), axis=0))
        gap = soft - slow.critics(critic, s[i], batch.action[i])
        gaps.append(gap if algorithm.gap_floor is None else np.maximum(gap, algorithm.gap_floor))
    expected = slow.td_loss(critic, s, batch.action, y) + 2.0 * 1.5 * np.mean(np.sum(gaps, 1))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["gap"], np.mean(gaps), rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    keys = jax.random.split(jax.random.key(2), slow.ROWS)
    actor, critic = state.actor.model, state.critic.model
    loss, _ = algorithm.actor_loss(actor, critic, np.float32(0.3), s, keys)
    terms = []
    for i in range(slow.ROWS):
        a, log_prob = sample(actor, s[i], keys[i])
        terms.append(0.3 * log_prob - slow.critics(critic, s[i], a).min())
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)


def test_the_multiplier_grows_while_the_gap_is_too_wide(case):
    algorithm, state, _ = case
    if algorithm.target_gap is None:
        assert state.log_multiplier is None
        return
    for gap, direction in ((2.0, 1), (0.1, -1)):
        after = algorithm.adapt(state.log_multiplier, np.float32(gap))
        assert np.sign(after.model - state.log_multiplier.model) == direction
