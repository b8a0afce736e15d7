"""SPOT against slow NumPy."""

import jax
import numpy as np
import pytest
import slow
from tiny import tiny_plan

from cnf.algorithms.spot import density_penalty


@pytest.fixture(scope="module", params=[1, 3], ids=["ELBO", "importance samples"])
def case(request):
    return slow.setup(
        "spot", density_samples=request.param, dropout=0.0, lambda_=0.7, reward_shift=-1.0
    )


def actor(model, s):
    return np.tanh(slow.mlp(model.network, s))


def posterior(vae, s, a):
    mean, log_std = np.split(slow.mlp(vae.encoder, np.concatenate([s, a])), 2)
    return mean, np.clip(log_std, -4, 15)


def penalty(vae, s, a, key):
    """-log p(a|s) in the unit of the training loss, on one pair."""
    mean, log_std = posterior(vae, s, a)

    def decode(z):
        return np.tanh(slow.mlp(vae.decoder, np.concatenate([s, z])))

    if vae.samples == 1:
        noise = np.asarray(jax.random.normal(key, mean.shape))
        error = np.mean((decode(mean + np.exp(log_std) * noise) - a) ** 2)
        return error + 0.5 * np.mean(0.5 * (np.exp(2 * log_std) + mean**2 - 1) - log_std)
    std = np.sqrt(0.5 / 4)  # of the decoder, for a KL weight of one half and 2n latents
    ratios = []
    for k in jax.random.split(key, vae.samples):
        z = mean + np.exp(log_std) * np.asarray(jax.random.normal(k, mean.shape))
        ratios.append(
            slow.normal_log_prob(a, decode(z), std + 0 * a)
            + slow.normal_log_prob(z, 0 * z, 1 + 0 * z)
            - slow.normal_log_prob(z, mean, np.exp(log_std))
        )
    return -np.log(np.mean(np.exp(ratios))) * 0.5 / mean.size


def test_the_critic_loss(case):
    algorithm, state, batch = case
    key = jax.random.key(3)
    noise = np.asarray(jax.random.normal(jax.random.split(key, 3)[0], batch.action.shape))
    _, metrics = jax.jit(algorithm.update)(state, batch, key=key, step=1)
    s, s_next = (slow.normalized(state, x) for x in (batch.observation, batch.next_observation))
    y = []
    for i in range(slow.ROWS):
        mean = actor(state.target_actor, s_next[i])
        a_next = slow.smoothed(mean, noise[i], algorithm.policy_noise, algorithm.noise_clip)
        value = slow.critics(state.target_critic, s_next[i], a_next).min()
        reward = batch.reward[i] - 1.0
        y.append(slow.td_target(reward, batch.terminal[i], value, algorithm.discount))
    expected = slow.td_loss(state.critic.model, s, batch.action, y)
    np.testing.assert_allclose(metrics["critic_loss"], expected, rtol=1e-4)


def test_the_actor_loss(case):
    algorithm, state, batch = case
    s = slow.normalized(state, batch.observation)
    vae, key = state.latent_space, jax.random.key(5)
    arguments = state.actor.model, vae, state.critic.model
    loss, metrics = algorithm.actor_loss(*arguments, 1.0, s, batch.action, key=key)
    keys = jax.random.split(jax.random.split(key)[1], slow.ROWS)
    actions = [actor(state.actor.model, x) for x in s]
    q = [slow.critics(state.critic.model, x, a)[0] for x, a in zip(s, actions, strict=True)]
    penalties = [penalty(vae, x, a, k) for x, a, k in zip(s, actions, keys, strict=True)]
    np.testing.assert_allclose(metrics["density_penalty"], np.mean(penalties), rtol=1e-4)
    of_values = -np.mean(q) / np.mean(np.abs(q))
    np.testing.assert_allclose(loss, of_values + 0.7 * np.mean(penalties), rtol=1e-4)

    # Online half of what holds the policy may be left: of the penalty and of the imitation.
    imitating = tiny_plan("spot", dropout=0.0, lambda_=0.7, imitation_weight=2.0).build()
    loss, _ = imitating.actor_loss(*arguments, 0.5, s, batch.action, key=key)
    anchor = 0.7 * np.mean(penalties) + 2.0 * np.mean((np.array(actions) - batch.action) ** 2)
    np.testing.assert_allclose(loss, of_values + 0.5 * anchor, rtol=1e-4)


def test_both_densities_have_one_scale(case):
    """One `lambda_` fits both: the penalty is log_prob, scaled, up to a constant."""
    _, state, batch = case
    vae, key = state.latent_space, jax.random.key(1)
    s = slow.normalized(state, batch.observation)
    offsets = []
    for i in range(3):
        scaled = -vae.log_prob(s[i], batch.action[i], key=key) * vae.kl_weight / vae.latent_size
        offsets.append(float(scaled - density_penalty(vae, s[i], batch.action[i], key)))
    np.testing.assert_allclose(offsets, offsets[0], atol=1e-5)


def test_dropout_reaches_actor_and_target_in_training_only():
    algorithm, state, batch = slow.setup("spot", dropout=0.5)
    s = batch.observation[0]
    for model in (state.actor.model, state.target_actor):
        first, second = (model(s, key=jax.random.key(i)) for i in range(2))
        assert not np.array_equal(first, second)
    mode = algorithm.act(state, (), s, key=None)[0]
    np.testing.assert_array_equal(mode, algorithm.act(state, (), s, key=jax.random.key(0))[0])
    np.testing.assert_allclose(mode, actor(state.actor.model, slow.normalized(state, s)), rtol=1e-4)
