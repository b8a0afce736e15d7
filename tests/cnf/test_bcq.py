"""BCQ against slow NumPy."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("bcq", target_samples=3, act_samples=5, max_perturbation=0.3)


def candidate(algorithm, actor, vae, s, z):
    z = np.clip(z, -algorithm.latent_clip, algorithm.latent_clip)
    a = np.tanh(slow.mlp(vae.decoder, np.concatenate([s, z])))
    return np.clip(a + 0.3 * np.tanh(slow.mlp(actor.network, np.concatenate([s, a]))), -1, 1)


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    shape = (slow.ROWS, 3, 2 * slow.ACTION)
    z = np.asarray(jax.random.normal(jax.random.split(key)[0], shape))
    y = []
    for i in range(slow.ROWS):
        values = []
        for j in range(3):
            a = candidate(algorithm, state.target_actor, state.latent_space, s_next[i], z[i, j])
            q = slow.critics(state.target_critic, s_next[i], a)
            values.append(0.75 * q.min() + 0.25 * q.max())
        y.append(
            slow.td_target(batch.reward[i], batch.terminal[i], max(values), algorithm.discount)
        )
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    z = np.random.default_rng(0).normal(size=(slow.ROWS, 4)).astype(np.float32)
    actor, critic, vae = state.actor.model, state.critic.model, state.latent_space
    loss, _ = algorithm.actor_loss(actor, vae, critic, s, z)
    q = [
        slow.critics(critic, s[i], candidate(algorithm, actor, vae, s[i], z[i]))[0]
        for i in range(slow.ROWS)
    ]
    np.testing.assert_allclose(loss, -np.mean(q), rtol=1e-4, atol=1e-6)


def test_the_best_candidate_acts(case):
    algorithm, state, batch = case
    key, s = jax.random.key(7), slow.normalized(state, batch.observation)[0]
    action, _ = algorithm.act(state, (), batch.observation[0], key=key)
    z = np.asarray(jax.random.normal(key, (5, 2 * slow.ACTION)))
    actor, vae = state.actor.model, state.latent_space
    candidates = [candidate(algorithm, actor, vae, s, x) for x in z]
    q = [slow.critics(state.critic.model, s, a)[0] for a in candidates]
    np.testing.assert_allclose(action, candidates[int(np.argmax(q))], rtol=1e-4, atol=1e-5)
