"""LAPO against slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow

from cnf.algorithms.lapo import Scales
from shared.datasets.rows import make_dataset
from shared.types import Transition


@pytest.fixture(scope="module")
def case():
    """Values that reach both ends of their range, and an action variance of 0.3."""
    algorithm, state, batch = slow.setup("lapo", kl_weight=0.3, lambda_=0.7)
    scales = Scales(jnp.asarray(3.0), jnp.array([-0.02, 0.02]), jnp.asarray(0.3))
    return algorithm, state._replace(scales=scales), batch


def decode(vae, s, z):
    return np.tanh(slow.mlp(vae.decoder, np.concatenate([s, z])))


def latent(actor, s):
    return 2.0 * np.tanh(slow.mlp(actor.network, s))


def slow_value(state, s, z):
    q = slow.critics(state.target_critic, s, decode(state.target_vae, s, z))
    return 0.7 * q.min() + 0.3 * q.max()


def test_value_critic_and_advantage(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    after, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    noise = np.asarray(jax.random.normal(jax.random.split(key)[0], (slow.ROWS, 4)))
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    errors, y, advantages, unclipped = [], [], [], []
    for i in range(slow.ROWS):
        reward, terminal = 3.0 * batch.reward[i], batch.terminal[i]
        z = latent(state.target_actor, s[i]) + np.clip(0.1 * noise[i], -0.2, 0.2)
        unclipped.append(slow_value(state, s[i], z))
        v = slow.mlp(state.value.model, s[i])[0]
        errors.append((v - np.clip(unclipped[-1], -0.02, 0.02)) ** 2)
        v_next = slow.mlp(state.value.model, s_next[i])[0]
        y.append(slow.td_target(reward, terminal, v_next, algorithm.discount))
        following = slow_value(state, s_next[i], latent(state.target_actor, s_next[i]))
        u = slow.td_target(reward, terminal, following, algorithm.discount)
        advantages.append(u - slow.mlp(after.value.model, s[i])[0])
    assert np.min(unclipped) < -0.02 or np.max(unclipped) > 0.02
    np.testing.assert_allclose(metrics["value_loss"], np.mean(errors), rtol=1e-4)
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["advantage"], np.mean(advantages), rtol=1e-4, atol=1e-5)
    # The actor sees the critics behind their step.
    loss, _ = algorithm.actor_loss(state.actor.model, state.target_vae, after.critic.model, s)
    np.testing.assert_allclose(metrics["actor_loss"], loss, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "scale", "ends"),
    [
        ({}, 1 / 4, (-2 / 4 * 100, 100)),
        ({"reward_scale": 100.0, "rewarded_once": True}, 100, (0, 400)),
    ],
    ids=["locomotion", "AntMaze"],
)
def test_the_scales_are_those_of_the_data(more, scale, ends):
    algorithm, state, _ = slow.setup("lapo", **more)
    rows = np.arange(6, dtype=np.float32)[:, None]
    action = np.stack([np.tile([-0.5, 0.5], 3), np.tile([0.1, -0.1], 3)], 1).astype(np.float32)
    reward = np.array([-2, 0, 4, 1, 0, 0], np.float32)
    data = make_dataset(Transition(rows, action, reward, reward > 9, rows), np.zeros(6, int))
    scales = algorithm.start(state, data, key=jax.random.key(0)).scales
    np.testing.assert_allclose(scales.reward, scale)
    np.testing.assert_allclose(scales.value_range, ends, rtol=1e-5)
    np.testing.assert_allclose(scales.action_variance, (0.25 + 0.01) / 2, rtol=1e-5)


def test_the_vae_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    advantage = np.array([1, -1, 2, -2, 0.1, -0.1], np.float32)
    vae, key = state.vae.model, jax.random.key(1)
    loss, _ = algorithm.vae_loss(vae, 0.3, s, batch.action, advantage, key=key)
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
