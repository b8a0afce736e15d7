"""DSRL against slow NumPy, its box, and its decoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module", params=[True, False], ids=["beside", "frozen"])
def case(request):
    return slow.setup(
        "dsrl", decoder_beside=request.param, pessimism=0.5, noise_scale=0.6, reward_shift=-0.3
    )


def test_the_target_is_pessimistic(case):
    """Mean of the target critics less half a standard deviation, at the policy's action."""
    algorithm, state, batch = case
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    keys = jax.random.split(jax.random.split(key, 4)[0], slow.ROWS)
    terms = []
    for i in range(slow.ROWS):
        mean, log_std = np.split(slow.mlp(state.actor.model.network, s_next[i]), 2)
        noise = np.asarray(jax.random.normal(keys[i], (slow.ACTION,)))
        w = 0.6 * np.tanh(mean + np.exp(np.clip(log_std, -20, 2)) * noise)
        a_next = slow.decoded(state.target_decoder, s_next[i], w)
        q = slow.critics(state.target_critic, s_next[i], a_next, slow.gelu)
        value = q.mean() - 0.5 * q.std()
        reward = float(batch.reward[i]) - 0.3
        y = slow.td_target(reward, batch.terminal[i], value, algorithm.discount)
        terms.append(
            np.sum((slow.critics(state.critic.model, s[i], batch.action[i], slow.gelu) - y) ** 2)
        )
    np.testing.assert_allclose(metrics["critic_loss"], np.mean(terms), rtol=1e-4)


def test_the_latent_critic_learns_what_noise_is_worth(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    after, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s = slow.normalized(state, batch.observation)
    noise = np.asarray(jax.random.normal(jax.random.split(key, 4)[1], batch.action.shape))
    terms = []
    for i in range(slow.ROWS):
        a = slow.decoded(state.target_decoder, s[i], noise[i])
        q = slow.critics(after.critic.model, s[i], a, slow.gelu).mean()
        terms.append(
            (slow.critics(state.latent_critic.model, s[i], noise[i], slow.gelu)[0] - q) ** 2
        )
    np.testing.assert_allclose(metrics["latent_loss"], np.mean(terms), rtol=1e-4)


def test_the_policy_stays_in_its_box_and_the_decoder_learns_only_beside(case):
    algorithm, state, batch = case
    after, _ = jax.jit(algorithm.update)(state, batch, key=jax.random.key(3))
    s = jax.vmap(state.normalizer)(100 * batch.observation)
    for i in range(slow.ROWS):
        box = algorithm.box(state.target_decoder, s[i])
        w = state.actor.model.sample(s[i], box, key=jax.random.key(i))
        assert np.abs(w).max() <= 0.6
    same = jax.tree.map(
        lambda x, y: bool(jnp.array_equal(x, y)), state.target_decoder, after.target_decoder
    )
    assert all(jax.tree.leaves(same)) != algorithm.decoder_beside


def test_the_frozen_decoder_is_the_trained_one():
    algorithm, state, batch = slow.setup("dsrl", decoder_beside=False)
    state, _ = algorithm.update_decoder(state, batch, key=jax.random.key(0))
    state = algorithm.freeze_decoder(state, None, key=jax.random.key(1))
    pairs = zip(*map(jax.tree.leaves, (state.decoder.model, state.target_decoder)), strict=True)
    for x, y in pairs:
        np.testing.assert_array_equal(x, y)
