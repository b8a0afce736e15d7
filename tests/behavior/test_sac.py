"""SAC's losses against slow NumPy, and SAC on a task whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.behavior.policies import forward
from shared.behavior.sac import LOG_STD_HIGH, LOG_STD_LOW, SAC
from shared.models.policies import squashed_sample
from shared.models.soft_actor_critic import actor_loss
from shared.types import Transition

SAC_SMALL = SAC(3, 2, (16, 16), (16, 16))


def mlp(layers, x):
    for weight, bias in layers[:-1]:
        x = np.maximum(weight @ x + bias, 0)
    weight, bias = layers[-1]
    return weight @ x + bias


def slow_sample(state, observation, key):
    noise = np.asarray(jax.random.normal(key, (2,)))
    mean, raw = np.split(mlp(state.actor.model.layers(), observation), 2)
    log_std = LOG_STD_LOW + 0.5 * (LOG_STD_HIGH - LOG_STD_LOW) * (np.tanh(raw) + 1)
    u = (mean + np.exp(log_std) * noise).astype(np.float64)
    density = np.exp(-0.5 * noise**2) / np.sqrt(2 * np.pi) / np.exp(log_std)
    return np.tanh(u), np.sum(np.log(density) - np.log(1 - np.tanh(u) ** 2))


def slow_critics(critics, observation, action):
    x = np.concatenate([observation, action])
    layers = [(np.asarray(y.weight), np.asarray(y.bias)) for y in critics.members.layers]
    return np.array([mlp([(w[i], b[i]) for w, b in layers], x)[0] for i in range(2)])


@pytest.fixture
def state():
    state = SAC_SMALL.init(key=jax.random.key(0))
    other = SAC_SMALL.init(key=jax.random.key(1))
    return state._replace(target_critic=other.critic.model)


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=s).astype(np.float32) for s in ((5, 3), (5, 2), 5, (5, 3))]
    terminal = np.array([False, True, False, False, True])
    observation, action, reward, following = map(jnp.asarray, arrays)
    return Transition(observation, jnp.tanh(action), reward, jnp.asarray(terminal), following)


def test_target_is_the_soft_bellman_target(state, batch):
    key = jax.random.key(1)
    reward, terminal, following = batch.reward, batch.terminal, batch.next_observation
    options = {"alpha": state.alpha, "discount": 0.99}
    y = jax.jit(state.targets)(reward, terminal, following, **options, key=key)
    assert float(state.alpha) == pytest.approx(0.2)
    for i, own in enumerate(jax.random.split(key, 5)):
        action, log_prob = slow_sample(state, following[i], own)
        v = slow_critics(state.target_critic, following[i], action).min() - 0.2 * log_prob
        expected = float(reward[i]) + 0.99 * (0.0 if terminal[i] else float(v))
        assert y[i] == pytest.approx(expected, abs=1e-4)


def test_losses_match_numpy(state, batch):
    key = jax.random.key(2)
    actor, critic, s = state.actor.model, state.critic.model, batch.observation
    loss, found = actor_loss(actor, critic, jnp.float32(0.7), s, key=key)
    own = zip(s, jax.random.split(key, 5), strict=True)
    pairs = [slow_sample(state, o, k) for o, k in own]
    q = [slow_critics(critic, o, a).min() for o, (a, _) in zip(s, pairs, strict=True)]
    log_prob = np.array([x for _, x in pairs])
    assert found["log_prob"] == pytest.approx(log_prob.mean(), abs=1e-4)
    assert loss == pytest.approx(np.mean(0.7 * log_prob - q), abs=1e-4)


def test_numpy_actor_equals_the_jax_actor(state):
    generator = np.random.default_rng(2)
    observation = generator.normal(size=(7, 3)).astype(np.float32)
    layers, keys = state.actor.model.layers(), jax.random.split(jax.random.key(0), 7)
    noise = np.stack([jax.random.normal(key, (2,)) for key in keys])
    sample = jax.vmap(lambda o, k: squashed_sample(state.actor.model, o, key=k)[0])
    expected = sample(jnp.asarray(observation), keys)
    np.testing.assert_allclose(forward(layers, observation, noise), expected, atol=1e-5)
    single = np.stack([forward(layers, o, z) for o, z in zip(observation, noise, strict=True)])
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_target_critics_follow_and_frozen_parts_stay(state, batch):
    after, metrics = jax.jit(SAC_SMALL.update)(state, batch, key=jax.random.key(3))
    expected = jax.tree.map(
        lambda t, o: 0.995 * t + 0.005 * o, state.target_critic, after.critic.model
    )
    for found, wanted in zip(
        jax.tree.leaves(after.target_critic), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert set(metrics) == {"critic_loss", "q", "actor_loss", "log_prob", "alpha"}


def test_learns_a_one_step_task():
    """Reward -(a - 0.5 s)² in episodes of one step: the best action is 0.5 s."""
    sac = SAC(1, 1, (32, 32), (32, 32), actor_learning_rate=3e-3, critic_learning_rate=3e-3)

    def step(state, key):
        keys = jax.random.split(key, 3)
        s = jax.random.uniform(keys[0], (64, 1), minval=-1.0)
        a = jax.random.uniform(keys[1], (64, 1), minval=-1.0)
        reward = -jnp.square(a - 0.5 * s)[:, 0] * 10
        batch = Transition(s, a, reward, jnp.ones(64, bool), s)
        return sac.update(state, batch, key=keys[2])

    @jax.jit
    def learn(state, key):
        return jax.lax.scan(step, state, jax.random.split(key, 1000))

    state, metrics = learn(sac.init(key=jax.random.key(0)), jax.random.key(1))
    layers = state.actor.model.layers()
    for s in (-0.8, 0.0, 0.8):
        action = forward(layers, np.array([s], np.float32), None)
        assert action[0] == pytest.approx(0.5 * s, abs=0.1)
    assert np.mean(metrics["log_prob"][-100:]) == pytest.approx(1.0, abs=0.3)  # entropy -1
