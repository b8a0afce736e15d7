"""ReBRAC against slow NumPy."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("rebrac", actor_penalty=0.3, critic_penalty=0.2, reward_scale=2.0)


def actor(model, s):
    return np.tanh(slow.mlp(model.network, s))


def test_the_critics_are_normalised_by_layers(case):
    _, state, _ = case
    assert len(state.critic.model.members.norms) == 2


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    noise = np.asarray(jax.random.normal(key, batch.action.shape))
    data_next = np.asarray(batch.action)[::-1].copy()
    _, metrics = jax.jit(algorithm.update)(state, (batch, data_next), key=key, step=1)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        mean = actor(state.target_actor, s_next[i])
        a_next = slow.smoothed(mean, noise[i], algorithm.policy_noise, algorithm.noise_clip)
        value = slow.critics(state.target_critic, s_next[i], a_next).min()
        value -= 0.2 * np.sum((a_next - data_next[i]) ** 2)
        reward = 2.0 * batch.reward[i]
        y.append(slow.td_target(reward, batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    loss, _ = algorithm.actor_loss(state.actor.model, state.critic.model, s, batch.action)
    actions = np.array([actor(state.actor.model, x) for x in s])
    q = [slow.critics(state.critic.model, x, a).min() for x, a in zip(s, actions, strict=True)]
    cloning = np.mean(np.sum((actions - batch.action) ** 2, axis=1))
    expected = -np.mean(q) / np.mean(np.abs(q)) + 0.3 * cloning
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_every_drawn_row_has_its_own_next_action(hopper_random):
    dataset = hopper_random.to_device()
    rows, following = dataset.draw_sarsa(512, key=jax.random.key(0))
    observations = hopper_random.transitions.observation
    number = {x.tobytes(): i for i, x in enumerate(observations)}
    for i in range(512):
        if not rows.terminal[i]:
            row = number[np.asarray(rows.next_observation[i]).tobytes()]
            np.testing.assert_array_equal(following[i], hopper_random.transitions.action[row])
