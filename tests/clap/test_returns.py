"""Returns of dreams, of recorded windows and of whole data sets."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from clap.returns import data_returns, episode_merit, lambda_returns, recorded_returns
from shared.datasets.rows import make_dataset
from shared.types import Transition


@pytest.mark.parametrize("lambda_", [0.0, 0.7, 1.0])
def test_lambda_returns_against_a_loop(lambda_):
    generator = np.random.default_rng(0)
    reward, value = generator.normal(size=6), generator.normal(size=6)
    continuation = generator.uniform(size=6)
    expected, following = np.zeros(6), value[-1]
    for t in reversed(range(6)):
        following = reward[t] + 0.9 * continuation[t] * (
            (1 - lambda_) * value[t] + lambda_ * following
        )
        expected[t] = following
    arguments = (jnp.asarray(x, jnp.float32) for x in (reward, continuation, value))
    found = lambda_returns(*arguments, discount=0.9, lambda_=lambda_)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_n_step_return_of_equation_6():
    reward, value = jnp.array([1.0, 2.0, 3.0]), jnp.array([9.0, 9.0, 10.0])
    found = lambda_returns(reward, jnp.ones(3), value, discount=0.5, lambda_=1.0)
    assert float(found[0]) == 1 + 0.5 * 2 + 0.25 * 3 + 0.125 * 10


def test_recorded_returns_stop_at_terminals_and_padding():
    """Rows 0-2 lead to a fatal end; row 3 shows it; rows behind are padding."""
    reward = jnp.array([1.0, 2.0, 4.0, 0.0, 0.0])
    terminal = jnp.array([False, False, True, False, False])
    acted = jnp.array([True, True, True, False, False])
    value = jnp.array([10.0, 20.0, 30.0, 40.0, 50.0])
    options = {"discount": 0.5, "lambda_": 1.0}
    found = recorded_returns(reward, terminal, acted, value, **options)
    np.testing.assert_allclose(found, [1 + 1 + 1, 2 + 2, 4, 40, 50])
    # Without a terminal the value of the last observation is what comes behind it.
    found = recorded_returns(reward, jnp.zeros(5, bool), acted, value, **options)
    np.testing.assert_allclose(found[2], 4 + 0.5 * 40)
    found = recorded_returns(reward, terminal, acted, value, discount=0.5, lambda_=0.0)
    np.testing.assert_allclose(found[:3], [1 + 10, 2 + 15, 4])
    # A window that ends in mid-episode does not know what its last action led to.
    found = recorded_returns(reward, jnp.zeros(5, bool), jnp.ones(5, bool), value, **options)
    np.testing.assert_allclose(found[3:], [0 + 0.5 * 50, 50])


def test_data_returns_against_a_loop():
    generator = np.random.default_rng(0)
    episode = np.repeat([3, 4, 7], [5, 1, 9])
    reward = generator.normal(size=15).astype(np.float32)
    returns = np.zeros(16)
    for i in reversed(range(15)):
        goes_on = i < 14 and episode[i + 1] == episode[i]
        returns[i] = reward[i] + 0.8 * goes_on * returns[i + 1]
    nothing = np.zeros((15, 1), np.float32)
    transitions = Transition(nothing, nothing, reward, nothing[:, 0] > 0, nothing)
    found = eqx.filter_jit(data_returns)(make_dataset(transitions, episode), 0.8)
    known = returns[:15]
    expected = (known.mean(), known.std(), known.min(), known.max())
    np.testing.assert_allclose(found[:4], expected, rtol=1e-5)
    np.testing.assert_allclose(found.at_starts, returns[[0, 5, 6]].mean(), rtol=1e-5)
    total = np.bincount(episode, reward)[episode]
    merit = episode_merit(make_dataset(transitions, episode))
    np.testing.assert_allclose(merit, (total - total.mean()) / total.std(), rtol=1e-4)
