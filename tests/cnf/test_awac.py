"""AWAC against slow NumPy."""

import dataclasses

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("awac", temperature=0.5, reward_shift=-1.0)


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    keys = jax.random.split(jax.random.split(key)[0], slow.ROWS)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    std = np.exp(np.asarray(state.actor.model.log_std))
    y = []
    for i in range(slow.ROWS):
        noise = np.asarray(jax.random.normal(keys[i], (slow.ACTION,)))
        a_next = np.clip(slow.mlp(state.actor.model.network, s_next[i]) + std * noise, -1, 1)
        value = slow.critics(state.target_critic, s_next[i], a_next).min()
        reward = batch.reward[i] - 1.0
        y.append(slow.td_target(reward, batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_advantage_is_that_of_the_critics_before_their_step(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    keys = jax.random.split(jax.random.split(key)[1], slow.ROWS)
    s = slow.normalized(state, batch.observation)
    std = np.exp(np.asarray(state.actor.model.log_std))
    advantages = []
    for i in range(slow.ROWS):
        noise = np.asarray(jax.random.normal(keys[i], (slow.ACTION,)))
        a_policy = np.clip(slow.mlp(state.actor.model.network, s[i]) + std * noise, -1, 1)
        q_data = slow.critics(state.critic.model, s[i], batch.action[i]).min()
        advantages.append(q_data - slow.critics(state.critic.model, s[i], a_policy).min())
    np.testing.assert_allclose(metrics["advantage"], np.mean(advantages), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_actor_loss(case, normalized):
    algorithm, state, batch = case
    algorithm = dataclasses.replace(algorithm, normalize_weights=normalized)
    s = slow.normalized(state, batch.observation)
    a_policy = np.asarray(batch.action)[::-1]
    actor, critic = state.actor.model, state.critic.model
    loss, _ = algorithm.actor_loss(actor, critic, s, batch.action, a_policy)
    weights, densities = [], []
    for i in range(slow.ROWS):
        q_data = slow.critics(critic, s[i], batch.action[i]).min()
        q_policy = slow.critics(critic, s[i], a_policy[i]).min()
        weights.append(np.exp((q_data - q_policy) / algorithm.temperature))
        mean, std = slow.mlp(actor.network, s[i]), np.exp(np.asarray(actor.log_std))
        densities.append(slow.normal_log_prob(batch.action[i], mean, std))
    weights = np.array(weights)
    weights = weights / weights.mean() if normalized else np.minimum(weights, 100.0)
    np.testing.assert_allclose(loss, -np.mean(weights * densities), rtol=1e-4)
