"""What the stable agent learns from recorded windows, against loops in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clap.agent import Agent, Values, ValueUnits
from clap.model.latent_actions import GaussianLatentActions
from clap.recorded import Recorded, recorded_losses
from shared.datasets.sequences import to_sequences
from shared.datasets.windows import EpisodeWindow
from shared.models.policies import BoundedLatentPolicy
from shared.types import Window

FEATURE, U, ACTION, T = 4, 3, 2, 5
DISCOUNT, LAMBDA, EXPECTILE, TEMPERATURE = 0.9, 0.8, 0.7, 0.5


def make_window():
    """One window of five states that ends fatally behind the third action."""
    k = jax.random.split(jax.random.key(0), 3)
    acted = jnp.array([True, True, True, False, False])
    action = jnp.tanh(jax.random.normal(k[0], (T, ACTION)))
    reward = jax.random.normal(k[1], (T,))
    nothing = jnp.zeros((T, 1))
    window = Window(nothing, action, reward, jnp.arange(T) == 2, jnp.arange(T) == 0)
    batch = EpisodeWindow(window, jnp.arange(T) < 4, acted)
    return jax.random.normal(k[2], (1, T, FEATURE)), jax.tree.map(lambda x: x[None], batch)


@pytest.mark.parametrize(
    ("merit", "squared"), [(None, False), ([[0.5, -1.0, 2.0, 0.0, 0.0]], True)]
)
def test_recorded_losses_against_a_loop(merit, squared):
    features, batch = make_window()
    k_space, k_actor, k_values = jax.random.split(jax.random.key(1), 3)
    space = GaussianLatentActions(FEATURE, ACTION, U, (6,), action_std=0.2, key=k_space)
    agent = Agent(
        BoundedLatentPolicy(FEATURE, U, (6,), key=k_actor), Values(FEATURE, (6,), 2, key=k_values)
    )
    units = ValueUnits.raw()._replace(offset=jnp.float32(1.0), scale=jnp.float32(3.0))
    key = jax.random.key(2)

    @eqx.filter_jit
    def losses(agent):
        return recorded_losses(
            agent,
            space,
            1.5,
            units,
            lambda feature: units.value(agent.values, feature),
            features,
            Recorded(batch, None if merit is None else jnp.asarray(merit)),
            expectile=EXPECTILE,
            temperature=TEMPERATURE,
            squared=squared,
            discount=DISCOUNT,
            lambda_=LAMBDA,
            key=key,
        )

    values, imitation, metrics = losses(agent)
    outputs = np.array([agent.values(f) for f in features[0]], np.float64)
    v = 1 + 3 * outputs.min(axis=1)
    reward = np.asarray(batch.window.reward[0], np.float64)
    earned = np.zeros(3)
    earned[2] = reward[2]  # fatal: nothing behind it
    for t in (1, 0):
        earned[t] = reward[t] + DISCOUNT * ((1 - LAMBDA) * v[t + 1] + LAMBDA * earned[t + 1])
    value_loss, cloned = 0.0, 0.0
    keys = jax.random.split(key, (1, T))[0]
    for t in range(3):
        for output in outputs[t]:
            surplus = (earned[t] - 1) / 3 - output
            value_loss += 2 * (EXPECTILE if surplus > 0 else 1 - EXPECTILE) * surplus**2 / 3
        feature = features[0, t]
        u = agent.actor.sample(feature, space.box(feature, 1.5), key=keys[t])
        error = np.abs(batch.window.action[0, t] - space.decode(feature, u))
        distance = (error**2 if squared else error).mean()
        advantage = (earned[t] - v[t]) / 3 if merit is None else merit[0][t]
        cloned += np.exp(advantage / TEMPERATURE) * distance / 3
    np.testing.assert_allclose(values, value_loss, rtol=1e-4)
    np.testing.assert_allclose(imitation, cloned, rtol=1e-4)
    np.testing.assert_allclose(metrics["recorded_value_loss"], values)


@pytest.mark.parametrize("form", [lambda data: data, to_sequences])
def test_merits_travel_beside_the_windows_and_rewards_stay_rewards(form, hopper_random):
    """Of rows and of frames: each row's own episode's, zero where there is no action."""
    data = form(hopper_random.to_device())
    options = {"by_episode": True, "key": jax.random.key(4)}
    windows, merit = Recorded.draw(data, 40, 12, **options)
    plain, nothing = Recorded.draw(data, 40, 12, by_episode=False, key=jax.random.key(4))
    assert nothing is None and merit is not None
    for x, y in zip(jax.tree.leaves(windows), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(x, y)
    rows, episode = hopper_random.transitions, hopper_random.episode
    returns = np.bincount(episode, np.asarray(rows.reward, np.float64))[episode]
    expected = (returns - returns.mean()) / returns.std()
    seen = np.asarray(windows.window.observation)
    for i, t in np.ndindex(40, 12):
        wanted = 0.0
        if windows.acted[i, t]:
            place = (rows.observation == seen[i, t]).all(1)
            (wanted,) = expected[place]
        np.testing.assert_allclose(merit[i, t], wanted, atol=1e-3)
    assert not windows.acted.all()
