"""Elementary densities and the squashing map, exact at the edges of [-1, 1]."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EDGE = 2e-5
"""Distance kept from ±1 wherever an `atanh` follows; the one such constant."""


def bounded(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Clip to ±(1 - EDGE), the domain on which `atanh` is finite."""
    return jnp.clip(x, -1 + EDGE, 1 - EDGE)


def log_one_minus_tanh_squared(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2x)), exact for every x.

    The naive form is -inf, with a dead gradient, once tanh rounds to ±1.
    """
    return 2 * (jnp.log(2.0) - x - jax.nn.softplus(-2 * x))
