"""Pieces of networks that we wrote ourselves, beside JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np

from shared.networks import selu


def test_selu_and_its_slope_are_those_of_jax():
    x = jnp.asarray([-200.0, -20.0, -1.5, -1e-3, -1e-9, 0.0, 1e-9, 0.3, 50.0])
    for ours, theirs in ((selu, jax.nn.selu), (jax.grad(selu), jax.grad(jax.nn.selu))):
        np.testing.assert_allclose(jax.vmap(ours)(x), jax.vmap(theirs)(x), rtol=1e-6, atol=3e-7)
