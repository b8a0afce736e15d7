"""Rewards in the unit of the data's returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow


@pytest.mark.parametrize("name", ["cnf", "plas", "spot", "td3bc"])
def test_a_span_of_twice_the_returns_doubles_the_rewards(name):
    """The returns of the toy data lie between -3 and 47: a span of 100 is twice theirs."""
    plain, state, batch = slow.setup(name)
    spanned, in_unit, _ = slow.setup(name, return_span=100.0)
    step = {"step": jnp.array(0)} if plain.phases()[-1].takes_step else {}
    key = jax.random.key(0)
    doubled = batch._replace(reward=2 * batch.reward)
    expected = jax.jit(plain.update)(state, doubled, key=key, **step)[1]["critic_loss"]
    actual = jax.jit(spanned.update)(in_unit, batch, key=key, **step)[1]["critic_loss"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    raw = jax.jit(plain.update)(state, batch, key=key, **step)[1]["critic_loss"]
    assert abs(float(raw) - float(actual)) > 1e-3
