"""TD3-off, SAC-off and BC against slow NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import slow

from shared.models.learner import Learner
from shared.models.soft_actor_critic import actor_loss, alpha_loss


def test_td3_off():
    algorithm, state, batch = slow.setup("td3-off")
    key = jax.random.key(3)
    noise = np.asarray(jax.random.normal(key, batch.action.shape))
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key, step=1)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        mean = np.tanh(slow.mlp(state.target_actor.network, s_next[i]))
        a_next = slow.smoothed(mean, noise[i], algorithm.policy_noise, algorithm.noise_clip)
        value = slow.critics(state.target_critic, s_next[i], a_next).min()
        y.append(slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)
    loss, _ = algorithm.actor_loss(state.actor.model, state.critic.model, s)
    actions = [np.tanh(slow.mlp(state.actor.model.network, x)) for x in s]
    q = [slow.critics(state.critic.model, x, a)[0] for x, a in zip(s, actions, strict=True)]
    np.testing.assert_allclose(loss, -np.mean(q), rtol=1e-4, atol=1e-6)


def sample(model, s, key):
    mean, log_std = np.split(slow.mlp(model.network, s), 2)
    std = np.exp(np.clip(log_std, -20, 2))
    x = mean + std * np.asarray(jax.random.normal(key, mean.shape))
    return np.tanh(x), slow.normal_log_prob(x, mean, std) - np.sum(np.log(1 - np.tanh(x) ** 2))


def test_sac_off():
    algorithm, state, batch = slow.setup("sac-off")
    log_alpha = Learner(state.agent.log_alpha.model - 0.7, state.agent.log_alpha.opt_state)
    state = state._replace(agent=state.agent._replace(log_alpha=log_alpha))
    agent, alpha, key = state.agent, np.exp(-0.7), jax.random.key(3)
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    k_next, k_actor = jax.random.split(key)
    keys = jax.random.split(k_next, slow.ROWS)
    y = []
    for i in range(slow.ROWS):
        a_next, log_prob = sample(agent.actor.model, s_next[i], keys[i])
        value = slow.critics(agent.target_critic, s_next[i], a_next).min() - alpha * log_prob
        y.append(slow.td_target(batch.reward[i], batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(agent.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-3)
    critic, keys = agent.critic.model, jax.random.split(k_actor, slow.ROWS)
    loss, actor_metrics = actor_loss(agent.actor.model, critic, float(alpha), s, key=k_actor)
    pairs = [sample(agent.actor.model, x, k) for x, k in zip(s, keys, strict=True)]
    q = [slow.critics(critic, x, a).min() for x, (a, _) in zip(s, pairs, strict=True)]
    log_probs = np.array([log_prob for _, log_prob in pairs])
    np.testing.assert_allclose(loss, np.mean(alpha * log_probs - q), rtol=1e-4)
    np.testing.assert_allclose(actor_metrics["log_prob"], log_probs.mean(), rtol=1e-4)


def test_alpha_grows_while_the_entropy_is_too_small():
    """log pi above n, the negative target entropy, means a policy that is too narrow."""
    gradient = jax.grad(lambda x, excess: alpha_loss(x, excess)[0])
    assert gradient(jnp.zeros(()), jnp.ones(())) < 0 < gradient(jnp.zeros(()), -jnp.ones(()))


def test_bc():
    algorithm, state, batch = slow.setup("bc")
    _, metrics = algorithm.update(state, batch, key=jax.random.key(0))
    s = slow.normalized(state, batch.observation)
    actions = [np.tanh(slow.mlp(state.actor.model, x)) for x in s]
    expected = np.mean((np.array(actions) - batch.action) ** 2)
    np.testing.assert_allclose(metrics["actor_loss"], expected, rtol=1e-4)


def test_bc_10_clones_the_best_episodes_only(hopper_random):
    algorithm, _, _ = slow.setup("bc-10")
    dataset = hopper_random.to_device()
    rows = algorithm.draw(dataset, key=jax.random.key(0))
    returns = np.bincount(hopper_random.episode, hopper_random.transitions.reward.astype(float))
    order = np.argsort(-returns, kind="stable")
    lengths = np.bincount(hopper_random.episode)[order]
    best = order[: np.searchsorted(np.cumsum(lengths), 0.1 * hopper_random.rows) + 1]
    number = {x.tobytes(): i for i, x in enumerate(hopper_random.transitions.observation)}
    drawn = {hopper_random.episode[number[np.asarray(x).tobytes()]] for x in rows.observation}
    assert drawn <= set(best) and len(drawn) > 1
