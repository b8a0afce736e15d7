"""TD3+BC against slow NumPy."""

import equinox as eqx
import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("td3bc")


def actor(model, s):
    return np.tanh(slow.mlp(model.network, s))


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    noise = np.asarray(jax.random.normal(key, batch.action.shape))
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key, step=1)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        mean = actor(state.target_actor, s_next[i])
        a_next = slow.smoothed(mean, noise[i], algorithm.policy_noise, algorithm.noise_clip)
        value = slow.critics(state.target_critic, s_next[i], a_next).min()
        y.append(slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    loss, _ = algorithm.actor_loss(state.actor.model, state.critic.model, s, batch.action)
    actions = [actor(state.actor.model, x) for x in s]
    q = [slow.critics(state.critic.model, x, a)[0] for x, a in zip(s, actions, strict=True)]
    lambda_ = algorithm.alpha / np.mean(np.abs(q))
    expected = -lambda_ * np.mean(q) + np.mean((np.array(actions) - batch.action) ** 2)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_scale_of_q_does_not_change_the_actor(case):
    """Equation 4: lambda normalises Q, and carries no gradient itself."""
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)

    def gradient(scale):
        last = jax.tree.map(lambda x: scale * x, state.critic.model.members.layers[-1])
        critic = eqx.tree_at(lambda c: c.members.layers[-1], state.critic.model, last)
        value = lambda m: algorithm.actor_loss(m, critic, s, batch.action)[0]  # noqa: E731
        return jax.tree.leaves(jax.grad(value)(state.actor.model))

    for x, y in zip(gradient(1.0), gradient(100.0), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-6)
