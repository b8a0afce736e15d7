"""QAM against slow NumPy: the walk, the adjoint by finite differences, the losses, the edit."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("qam-e", edit_scale=0.3, inverse_temperature=2.0, pessimism=0.5)


@pytest.fixture(scope="module")
def updated(case):
    algorithm, state, batch = case
    return jax.jit(algorithm.update)(state, batch, key=jax.random.key(3))


def velocity(flow, s, x, t):
    return slow.mlp(flow.network, np.concatenate([s, x, [t]]), slow.gelu)


def slope(function, x, size=1e-5):
    """The Jacobian by central differences, row = output."""
    columns = [(function(x + e) - function(x - e)) / (2 * size) for e in size * np.eye(len(x))]
    return np.stack(columns, axis=1)


def lesson(algorithm, state, s, key):
    """x_i and g_i of one walk, in float64."""
    steps, fast, v = algorithm.flow_steps, state.fast.model, state.target_flow
    h, (k_start, k_walk) = 1 / steps, jax.random.split(key)
    x = np.asarray(jax.random.normal(k_start, (slow.ACTION,)), np.float64)
    noise = np.asarray(jax.random.normal(k_walk, (steps - 1, slow.ACTION)), np.float64)
    points = [x]
    for i in range(steps - 1):
        t = i * h
        sigma = np.sqrt(2 * (1 - t + h) / (t + h))
        drift = 2 * velocity(fast, s, x, t) - x / (t + h)
        x = x + h * drift + np.sqrt(h) * sigma * noise[i]
        points.append(x)
    end = x + h * velocity(v, s, x, 1 - h)

    def value(x):
        q = slow.critics(state.target_critic, s, np.clip(x, -1, 1), slow.gelu)
        return np.array([q.mean()])

    g, adjoints = -algorithm.inverse_temperature * slope(value, end)[0], []
    for i in reversed(range(steps)):
        t = i * h
        g = (
            g
            + h * slope(lambda x, t=t: 2 * velocity(v, s, x, t + h) - x / (t + h), points[i]).T @ g
        )
        adjoints.append(g)
    return points, adjoints[::-1]


def test_adjoint_matching(case, updated):
    """The loss of the fast flow, step by step along every walk."""
    algorithm, state, batch = case
    s, h, terms = slow.normalized(state, batch.observation), 1 / algorithm.flow_steps, []
    keys = jax.random.split(jax.random.split(jax.random.key(3), 4)[2], slow.ROWS)
    for i in range(slow.ROWS):
        for step, (x, g) in enumerate(zip(*lesson(algorithm, state, s[i], keys[i]), strict=True)):
            t = step * h
            sigma = np.sqrt(2 * (1 - t + h) / (t + h))
            fields = (velocity(f, s[i], x, t) for f in (state.fast.model, state.target_flow))
            difference = np.subtract(*fields)
            terms.append(np.sum((2 * difference / sigma + sigma * g) ** 2))
    expected = np.sum(terms) / slow.ROWS
    np.testing.assert_allclose(updated[1]["adjoint_loss"], expected, rtol=1e-3)


def edited(algorithm, state, s, key):
    """The policy's action, and the log-density of the edit in its box."""
    k_noise, k_edit = jax.random.split(key)
    a = slow.decoded(state.fast.model, s, jax.random.normal(k_noise, (slow.ACTION,)))
    mean, log_std = np.split(slow.mlp(state.editor.policy.model.network, np.concatenate([s, a])), 2)
    log_std = np.clip(log_std, -20, 2)
    x = mean + np.exp(log_std) * np.asarray(jax.random.normal(k_edit, (slow.ACTION,)))
    log_prob = slow.normal_log_prob(x, mean, np.exp(log_std)) - np.sum(np.log(1 - np.tanh(x) ** 2))
    return np.clip(a + algorithm.edit_scale * np.tanh(x), -1, 1), log_prob


def test_the_pessimistic_target_and_the_edit(case, updated):
    algorithm, state, batch = case
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    k_next, _, _, k_edit = jax.random.split(jax.random.key(3), 4)
    critic, edit, log_probs = [], [], []
    for i in range(slow.ROWS):
        a_next, _ = edited(algorithm, state, s_next[i], jax.random.split(k_next, slow.ROWS)[i])
        q = slow.critics(state.target_critic, s_next[i], a_next, slow.gelu)
        value = q.mean() - 0.5 * q.std()
        y = slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount)
        q = slow.critics(state.critic.model, s[i], batch.action[i], slow.gelu)
        critic.append(np.sum((q - y) ** 2))
        a, log_prob = edited(algorithm, state, s[i], jax.random.split(k_edit, slow.ROWS)[i])
        # alpha begins at 1
        edit.append(log_prob - slow.critics(state.critic.model, s[i], a, slow.gelu).mean())
        log_probs.append(log_prob)
    np.testing.assert_allclose(updated[1]["critic_loss"], np.mean(critic), rtol=1e-4)
    np.testing.assert_allclose(updated[1]["edit_loss"], np.mean(edit), rtol=1e-4)
    # The temperature rises where the edit is surer than the target entropy wants.
    rises = np.mean(log_probs) - slow.ACTION / 2 > 0
    assert (updated[0].editor.log_alpha.model > 0) == rises


def test_without_an_edit_the_policy_is_the_fast_flow(case):
    algorithm, state, batch = case
    state = state._replace(editor=None)
    s, key = slow.normalized(state, batch.observation)[0], jax.random.key(5)
    action, _ = algorithm.act(state, (), batch.observation[0], key=key)
    noise = jax.random.normal(jax.random.split(key)[0], (slow.ACTION,))
    np.testing.assert_allclose(action, slow.decoded(state.fast.model, s, noise), atol=1e-5)
    still, _ = algorithm.act(state, (), batch.observation[0], key=None)
    np.testing.assert_allclose(still, slow.decoded(state.fast.model, s, np.zeros(2)), atol=1e-5)
