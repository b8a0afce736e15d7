"""LAPO against slow NumPy."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("lapo", reward_scale=3.0, kl_weight=0.3)


def decode(vae, s, z):
    return np.tanh(slow.mlp(vae.decoder, np.concatenate([s, z])))


def latent(actor, s):
    return 2.0 * np.tanh(slow.mlp(actor.network, s))


def test_value_critic_and_advantage(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    noise = np.asarray(jax.random.normal(jax.random.split(key)[0], (slow.ROWS, 4)))
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    errors, y, advantages = [], [], []
    for i in range(slow.ROWS):
        z = latent(state.target_actor, s[i]) + np.clip(0.1 * noise[i], -0.2, 0.2)
        v_target = slow.critics(state.target_critic, s[i], decode(state.target_vae, s[i], z)).min()
        v = slow.mlp(state.value.model, s[i])[0]
        errors.append((v - v_target) ** 2)
        v_next = slow.mlp(state.value.model, s_next[i])[0]
        reward = 3.0 * batch.reward[i]
        y.append(slow.td_target(reward, batch.terminal[i], v_next, algorithm.discount))
        advantages.append(y[-1] - v)
    np.testing.assert_allclose(metrics["value_loss"], np.mean(errors), rtol=1e-4)
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["advantage"], np.mean(advantages), rtol=1e-4, atol=1e-5)


def test_the_vae_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    advantage = np.array([1, -1, 2, -2, 0.1, -0.1], np.float32)
    vae, key = state.vae.model, jax.random.key(1)
    loss, _ = algorithm.vae_loss(vae, s, batch.action, advantage, key=key)
    terms = []
    for i, k in enumerate(jax.random.split(key, slow.ROWS)):
        x = np.concatenate([s[i], batch.action[i]])
        mean, log_std = np.split(slow.mlp(vae.encoder, x), 2)
        z = mean + np.exp(log_std) * np.asarray(jax.random.normal(k, mean.shape))
        error = np.mean((decode(vae, s[i], z) - batch.action[i]) ** 2)
        kl = np.mean(0.5 * (np.exp(2 * log_std) + mean**2 - 1) - log_std)
        terms.append((0.9 if advantage[i] > 0 else 0.1) * (error + 0.3 * kl))
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    actor, vae, critic = state.actor.model, state.target_vae, state.critic.model
    loss, _ = algorithm.actor_loss(actor, vae, critic, s)
    q = [slow.critics(critic, x, decode(vae, x, latent(actor, x)))[0] for x in s]
    np.testing.assert_allclose(loss, -np.mean(q), rtol=1e-4, atol=1e-6)
