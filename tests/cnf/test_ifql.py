"""IFQL against slow NumPy."""

import jax
import numpy as np
import pytest
import slow


@pytest.fixture(scope="module")
def case():
    return slow.setup("ifql", expectile=0.8, return_span=25.0, reward_shift=-0.5, act_samples=7)


def test_the_losses(case):
    """Value by expectile regression, critics on the value just updated, scaled rewards."""
    algorithm, state, batch = case
    after, metrics = jax.jit(algorithm.update)(state, batch, key=jax.random.key(3))
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    value_terms, critic_terms = [], []
    for i in range(slow.ROWS):
        u = slow.critics(state.target_critic, s[i], batch.action[i], slow.gelu).min()
        u = u - slow.mlp(state.value.model.network, s[i], slow.gelu)[0]
        value_terms.append((0.2 if u < 0 else 0.8) * u**2)
        reward = 25 / 50 * float(batch.reward[i]) - 0.5  # the returns of the data span 50
        v = slow.mlp(after.value.model.network, s_next[i], slow.gelu)[0]
        y = slow.td_target(reward, batch.terminal[i], v, algorithm.discount)
        q = slow.critics(state.critic.model, s[i], batch.action[i], slow.gelu)
        critic_terms.append(np.sum((q - y) ** 2))
    np.testing.assert_allclose(metrics["value_loss"], np.mean(value_terms), rtol=1e-4)
    np.testing.assert_allclose(metrics["critic_loss"], np.mean(critic_terms), rtol=1e-4)


def test_it_acts_by_the_best_of_its_samples(case):
    algorithm, state, batch = case
    observation = batch.observation[0]
    s = slow.normalized(state, batch.observation)[0]
    for key in (None, jax.random.key(5)):
        noise = jax.random.normal(jax.random.key(0) if key is None else key, (7, slow.ACTION))
        actions = []
        for x in np.asarray(noise, np.float64):
            for step in range(algorithm.flow_steps):
                time = step / algorithm.flow_steps
                v = slow.mlp(state.flow.model.network, np.concatenate([s, x, [time]]), slow.gelu)
                x = x + v / algorithm.flow_steps
            actions.append(np.clip(x, -1, 1))
        q = [slow.critics(state.critic.model, s, a, slow.gelu).min() for a in actions]
        action, _ = algorithm.act(state, (), observation, key=key)
        np.testing.assert_allclose(action, actions[int(np.argmax(q))], atol=1e-4)
