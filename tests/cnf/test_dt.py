"""The decision transformer against slow NumPy, its windows and its memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow

from cnf.transformer import Attention
from shared.training import program
from shared.training.seeds import of_seed


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def norm(model, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + model.eps)
    return x * np.asarray(model.weight) + np.asarray(model.bias)


def linear(model, x):
    return x @ np.asarray(model.weight, np.float64).T + np.asarray(model.bias)


def attention(model, x):
    packed, (time, width) = linear(model.queries_keys_values, x), x.shape
    size, heads = width // model.heads, []
    for head in range(model.heads):
        part = [packed[:, i * width + head * size :][:, :size] for i in range(3)]
        rows = [softmax(part[0][t] @ part[1][: t + 1].T / size**0.5) for t in range(time)]
        heads.append([row @ part[2][: t + 1] for t, row in enumerate(rows)])
    return linear(model.output, np.concatenate(heads, axis=1))


def actions(policy, returns, s, a, time):
    """Of a sequence without padding."""
    tokens = []
    for t, when in enumerate(np.asarray(policy.times.weight)[time]):
        for f, x in zip(policy.embeddings, (returns[t : t + 1], s[t], a[t]), strict=True):
            tokens.append(linear(f, np.asarray(x, np.float64)) + when)
    transformer = policy.transformer
    x = norm(transformer.norms[0], np.array(tokens))
    for block in transformer.blocks:
        x = x + attention(block.attention, norm(block.norms[0], x))
        x = x + np.array([slow.mlp(block.network, row) for row in norm(block.norms[1], x)])
    return np.tanh(linear(policy.head, norm(transformer.norms[1], x)[1::3]))


@pytest.fixture(scope="module")
def case(hopper_random):
    algorithm = slow.tiny_plan("dt", dropout=0.0, layers=2, horizon=40).build()
    state = program.init_state(algorithm, hopper_random.spec, (0,))
    return algorithm, of_seed(state, 0), hopper_random


def test_windows_carry_the_return_to_go_and_the_time(case):
    algorithm, _, data = case
    windows, first = jax.jit(algorithm.draw)(data.to_device(), key=jax.random.key(0))
    rewards, observations = data.transitions.reward, data.transitions.observation
    number = {x.tobytes(): i for i, x in enumerate(observations)}
    for i in range(algorithm.batch_size):
        row = number[np.asarray(windows.window.observation[i, 0]).tobytes()]
        own = np.flatnonzero(data.episode == data.episode[row])
        assert first[i] == row - own[0]
        for t in np.flatnonzero(windows.acted[i]):
            expected = rewards[row + t : own[-1] + 1].astype(np.float64).sum()
            np.testing.assert_allclose(windows.window.reward[i, t], expected, rtol=1e-4, atol=1e-3)


def test_the_loss(case):
    algorithm, state, data = case
    windows, first = algorithm.draw(data.to_device(), key=jax.random.key(1))
    _, metrics = jax.jit(algorithm.update)(state, (windows, first), key=jax.random.key(2))
    errors = []
    for i in range(algorithm.batch_size):
        real = np.asarray(windows.acted[i])
        s, a, returns = (x[i][real] for x in windows.window[:3])
        time = np.minimum(first[i] + np.arange(len(s)), 39)
        returns = np.asarray(returns) / algorithm.return_scale
        errors += [
            (actions(state.actor.model, returns, slow.normalized(state, s), a, time) - a) ** 2
        ]
    np.testing.assert_allclose(metrics["actor_loss"], np.concatenate(errors).mean(), rtol=1e-4)


def test_acting_is_the_sequence_model_on_the_last_steps(case):
    """Longer than the context: memory, times and returns to go are those of the window."""
    algorithm, state, data = case
    rows = slice(0, algorithm.context + 3)
    observations, rewards = data.transitions.observation[rows], data.transitions.reward[rows]
    act, rewarded = jax.jit(lambda *a: algorithm.act(*a, key=None)), jax.jit(algorithm.rewarded)
    memory, taken, returns = algorithm.initial_memory(state), [], [algorithm.target_return]
    for o, reward in zip(observations, rewards, strict=True):
        action, memory = act(state, memory, jnp.asarray(o))
        taken.append(np.asarray(action))
        memory = rewarded(memory, reward)
        returns.append(returns[-1] - reward)
        last = slice(max(0, len(taken) - algorithm.context), len(taken))
        time = np.arange(len(taken))[last]
        asked = np.array(returns[:-1])[last] / algorithm.return_scale
        s = slow.normalized(state, observations[last])
        expected = actions(state.actor.model, asked, s, np.array(taken[last]), time)[-1]
        np.testing.assert_allclose(action, expected, rtol=1e-3, atol=1e-4)


def test_attention_weights_are_dropped_in_training():
    """Half of them, without a change of the mean; nothing is without a key."""
    attention = Attention(8, 2, 0.5, key=jax.random.key(0))
    x, visible = jax.random.normal(jax.random.key(1), (6, 8)), jnp.ones((6, 6), bool)
    keys = jax.random.split(jax.random.key(2), 4000)
    dropped = jax.jit(jax.vmap(lambda k: attention(x, visible, key=k)))(keys)
    assert np.std(dropped, axis=0).min() > 0.01
    np.testing.assert_allclose(np.mean(dropped, axis=0), attention(x, visible), atol=0.02)
