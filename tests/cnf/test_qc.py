"""QC against slow NumPy."""

import jax
import numpy as np
import slow


def best(algorithm, state, s, noise):
    """The decoded noise that the critics' mean prefers."""
    actions = [slow.decoded(state.flow.model, s, w) for w in np.asarray(noise)]
    q = [slow.critics(state.critic.model, s, a, slow.gelu).mean() for a in actions]
    return actions[int(np.argmax(q))]


def test_the_target_is_of_the_best_of_the_samples():
    """Chosen by the critics, valued by the target critics; rewards are scaled and shifted."""
    algorithm, state, batch = slow.setup(
        "qc", chunk=1, act_samples=5, return_span=25.0, reward_shift=-0.5
    )
    key = jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    keys, terms = jax.random.split(jax.random.split(key)[0], slow.ROWS), []
    for i in range(slow.ROWS):
        a_next = best(algorithm, state, s_next[i], jax.random.normal(keys[i], (5, slow.ACTION)))
        value = slow.critics(state.target_critic, s_next[i], a_next, slow.gelu).mean()
        reward = 25 / 50 * float(batch.reward[i]) - 0.5  # the returns of the data span 50
        y = slow.td_target(reward, batch.terminal[i], value, algorithm.discount)
        q = slow.critics(state.critic.model, s[i], batch.action[i], slow.gelu)
        terms.append(np.sum((q - y) ** 2))
    np.testing.assert_allclose(metrics["critic_loss"], np.mean(terms), rtol=1e-4)
    key = jax.random.key(7)
    action, _ = algorithm.act(state, (), batch.observation[0], key=key)
    expected = best(algorithm, state, s[0], jax.random.normal(key, (5, slow.ACTION)))
    np.testing.assert_allclose(action, expected, atol=1e-4)
