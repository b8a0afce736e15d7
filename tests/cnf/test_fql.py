"""FQL against slow NumPy."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module", params=[False, True], ids=["mean", "minimum"])
def case(request):
    options = {"alpha": 0.7, "flow_steps": 4, "reward_shift": -1.0}
    return slow.setup("fql", target_minimum=request.param, normalize_q=request.param, **options)


def one_step(model, s, z):
    return slow.mlp(model.network, np.concatenate([s, z]), slow.gelu)


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    noise = np.asarray(jax.random.normal(jax.random.split(key, 4)[0], batch.action.shape))
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        a_next = np.clip(one_step(state.actor.model, s_next[i], noise[i]), -1, 1)
        q = slow.critics(state.target_critic, s_next[i], a_next, slow.gelu)
        value = q.min() if algorithm.target_minimum else q.mean()
        y.append(slow.td_target(batch.reward[i] - 1, batch.terminal[i], value, algorithm.discount))
    terms = [
        np.sum((slow.critics(state.critic.model, s[i], batch.action[i], slow.gelu) - y[i]) ** 2)
        for i in range(slow.ROWS)
    ]
    np.testing.assert_allclose(metrics["critic_loss"], np.mean(terms), rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    noise = np.asarray(batch.next_observation)[:, :2]
    actor, flow, critic = state.actor.model, state.flow.model, state.critic.model
    loss, _ = algorithm.actor_loss(actor, flow, critic, s, noise)
    q, errors = [], []
    for i in range(slow.ROWS):
        x = noise[i].astype(np.float64)
        for step in range(4):
            x = x + slow.mlp(flow.network, np.concatenate([s[i], x, [step / 4]]), slow.gelu) / 4
        a = one_step(actor, s[i], noise[i])
        errors.append(np.mean((a - np.clip(x, -1, 1)) ** 2))
        q.append(slow.critics(critic, s[i], np.clip(a, -1, 1), slow.gelu).mean())
    scale = np.mean(np.abs(q)) if algorithm.normalize_q else 1.0
    expected = -np.mean(q) / scale + 0.7 * np.mean(errors)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
