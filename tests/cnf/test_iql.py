"""IQL against slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow
from tiny import tiny_plan

from cnf.algorithms.iql import expectile_loss


@pytest.fixture(scope="module")
def case():
    return slow.setup("iql", return_span=1000.0, reward_shift=-1.0, dropout=0.5)


def value(model, s):
    return slow.mlp(model.network, s)[0]


def q_of(state, batch):
    pairs = zip(batch.observation, batch.action, strict=True)
    return np.array([slow.critics(state.target_critic, s, a).min() for s, a in pairs])


def test_the_value_loss(case):
    algorithm, state, batch = case
    q = q_of(state, batch)
    asked = jnp.asarray(q, jnp.float32)
    loss, _ = expectile_loss(state.value.model, batch.observation, asked, algorithm.expectile)
    terms = []
    for i in range(slow.ROWS):
        u = q[i] - value(state.value.model, batch.observation[i])
        terms.append(abs(algorithm.expectile - (u < 0)) * u**2)
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)


def test_the_critic_loss_uses_the_new_value_and_scaled_rewards(case):
    algorithm, state, batch = case
    after, metrics = jax.jit(algorithm.update)(state, batch, key=jax.random.key(0))
    scale = 1000.0 / 50.0  # the returns of `slow.setup` lie between -3 and 47
    y = []
    for i in range(slow.ROWS):
        v_next = value(after.value.model, batch.next_observation[i])
        reward = scale * batch.reward[i] - 1.0
        y.append(slow.td_target(reward, batch.terminal[i], v_next, algorithm.discount))
    expected = slow.td_loss(state.critic.model, batch.observation, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)
    advantage = q_of(state, batch) - [value(after.value.model, s) for s in batch.observation]
    np.testing.assert_allclose(metrics["advantage"], advantage.mean(), rtol=1e-3, atol=1e-4)


def test_the_actor_loss(case):
    _, dropping, batch = case
    algorithm, state, _ = slow.setup("iql", dropout=0.0)
    model = state.actor.model
    advantage = jnp.linspace(-1, 3, slow.ROWS)
    std = np.exp(np.clip(model.log_std, -5, 2))
    terms = []
    for i in range(slow.ROWS):
        mean = np.tanh(slow.mlp(model.network, batch.observation[i]))
        weight = min(np.exp(advantage[i] / algorithm.temperature), 100.0)
        terms.append(-weight * slow.normal_log_prob(batch.action[i], mean, std))
    arguments = batch.observation, batch.action, advantage
    loss, _ = algorithm.actor_loss(model, *arguments, key=jax.random.key(0))
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)
    # The same weights with dropout give another loss: the hyperparameter is not dropped itself.
    dropped, _ = algorithm.actor_loss(dropping.actor.model, *arguments, key=jax.random.key(0))
    assert abs(float(dropped) - float(loss)) > 1e-3


def test_dropout_acts_in_training_only(case):
    """The policy that is scored never drops a unit."""
    algorithm, state, batch = case
    s = batch.observation[0]
    mean = np.tanh(slow.mlp(state.actor.model.network, s))
    np.testing.assert_allclose(algorithm.act(state, (), s, key=None)[0], mean, rtol=1e-4)


def test_the_actor_slows_down_along_a_cosine():
    algorithm = tiny_plan("iql", steps=10).build()
    optimizer, sizes = algorithm.actor_optimizer, []
    state = optimizer.init(np.zeros(1, np.float32))
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(10):
            update, state = optimizer.update(np.ones(1, np.float32), state)
            sizes.append(float(abs(update[0])))
    cosine = algorithm.actor_learning_rate * (1 + np.cos(np.pi * np.arange(10) / 10)) / 2
    np.testing.assert_allclose(sizes, cosine, rtol=1e-3)
