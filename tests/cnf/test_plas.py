"""PLAS and PLAS+P against slow NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow
from tiny import tiny_plan


@pytest.fixture(scope="module", params=[0.0, 0.3], ids=["PLAS", "PLAS+P"])
def case(request):
    return slow.setup("plas", max_perturbation=request.param, latent_clip=0.5, lambda_=0.75)


def act(actor, vae, s):
    """An action of the latent policy, on one observation."""
    z = 0.5 * np.tanh(slow.mlp(actor.latent.network, s))
    a = np.tanh(slow.mlp(vae.decoder, np.concatenate([s, z])))
    if actor.residual is None:
        return a
    residual = np.tanh(slow.mlp(actor.residual.network, np.concatenate([s, a])))
    return np.clip(a + 0.3 * residual, -1, 1)


def test_the_critic_loss(case):
    algorithm, state, batch = case
    _, metrics = jax.jit(algorithm.update)(state, batch, key=jax.random.key(0))
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        a_next = act(state.target_actor, state.latent_space, s_next[i])
        q = slow.critics(state.target_critic, s_next[i], a_next)
        value = 0.75 * q.min() + 0.25 * q.max()
        y.append(slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    actor, critic, vae = state.actor.model, state.critic.model, state.latent_space
    loss, _ = algorithm.actor_loss(actor, vae, critic, s, batch.action)
    actions = np.array([act(actor, vae, x) for x in s])
    q = [slow.critics(critic, x, a)[0] for x, a in zip(s, actions, strict=True)]
    np.testing.assert_allclose(loss, -np.mean(q), rtol=1e-4, atol=1e-6)

    perturbation = algorithm.max_perturbation
    imitating = tiny_plan(
        "plas", max_perturbation=perturbation, latent_clip=0.5, imitation_weight=2.0
    ).build()
    loss, metrics = imitating.actor_loss(actor, vae, critic, s, batch.action)
    error = np.mean((actions - batch.action) ** 2)
    np.testing.assert_allclose(metrics["cloning_error"], error, rtol=1e-4)
    expected = -np.mean(q) / np.mean(np.abs(q)) + 2.0 * error
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_decoder_stays_frozen(case):
    algorithm, state, batch = case
    after, _ = jax.jit(algorithm.update)(state, batch, key=jax.random.key(0))
    for x, y in zip(*map(jax.tree.leaves, (state.latent_space, after.latent_space)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_wild_decoder_is_still_bounded(case):
    """A decoder without its tanh would leave [-1, 1] here."""
    algorithm, state, batch = case
    wild = jax.tree.map(lambda x: 1000 * x, state.latent_space.decoder)
    space = eqx.tree_at(lambda m: m.decoder, state.latent_space, wild)
    action = algorithm.action(state.actor.model, space, jnp.asarray(batch.observation[0]))
    assert np.abs(action).max() <= 1.0
