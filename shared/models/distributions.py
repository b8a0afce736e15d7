"""Elementary densities and the squashing map, exact at the edges of [-1, 1]."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EDGE = 2e-5
"""Distance kept from ±1 wherever an `atanh` follows; the one such constant."""

HOLD = math.atanh(1 - 2 * EDGE)
"""Where `held` stops: its tanh stays clear of EDGE after rounding."""


def bounded(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Clip to ±(1 - EDGE), the domain on which `atanh` is finite."""
    return jnp.clip(x, -1 + EDGE, 1 - EDGE)


def clipped(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Clip to ±1 with the gradient of the identity, so that what went too far can come back."""
    return jax.lax.stop_gradient(jnp.clip(x, -1.0, 1.0)) + (x - jax.lax.stop_gradient(x))


@jax.custom_vjp
def held(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Clip to ±atanh(1 - 2 EDGE), keeping every gradient that leads back inside.

    The gradient of a plain clip is zero beyond its ends, so that a policy which
    once overshot could never return.  This one drops only the gradients whose
    descent would go further out (Hausknecht and Stone 2016 invert them instead).
    """
    return jnp.clip(x, -HOLD, HOLD)


def _held_forward(x):
    return held(x), x


def _held_backward(x, cotangent):
    outward = (jnp.abs(x) >= HOLD) & (x * cotangent < 0)
    return (jnp.where(outward, 0.0, cotangent),)


held.defvjp(_held_forward, _held_backward)


def log_one_minus_tanh_squared(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2x)), exact for every x.

    The naive form is -inf, with a dead gradient, once tanh rounds to ±1.
    """
    return 2 * (jnp.log(2.0) - x - jax.nn.softplus(-2 * x))
