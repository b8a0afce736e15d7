"""Adjoint matching: how the gradient of a value at the end of a flow teaches all of its steps.

"Adjoint Matching" (Domingo-Enrich et al., 2024) as in QAM (Li et al., 2026), whose equations stand
in cnf/algorithms/qam.py.  u is the field that learns, v the one of the data; K steps of h = 1 / K.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.flow_matching import FlowMatching


def step_times(steps: int) -> tuple[Float[Array, "steps"], Float[Array, "steps"]]:
    """t_i and sigma_i, i = 0 ... K - 1."""
    h = 1 / steps
    time = jnp.arange(steps, dtype=jnp.float32) * h
    return time, jnp.sqrt(2 * (1 - time + h) / (time + h))


def walk(
    fast: FlowMatching, slow: FlowMatching, s: Float[Array, "condition"], *, key: PRNGKeyArray
) -> tuple[Float[Array, "steps action"], Float[Array, "action"]]:
    """A random walk along u, whose last step goes straight along v: x_0 ... x_{K-1}, and x_K."""
    steps, size = fast.flow_steps, fast.latent_size
    h, (time, sigma) = 1 / steps, step_times(steps)
    k_start, k_walk = jax.random.split(key)
    start = jax.random.normal(k_start, (size,))
    noise = jax.random.normal(k_walk, (steps - 1, size))

    def forward(x, step):
        t, sigma, z = step
        drift = 2 * fast.velocity(s, x, t) - x / (t + h)
        return x + h * drift + jnp.sqrt(h) * sigma * z, x

    x, points = jax.lax.scan(forward, start, (time[:-1], sigma[:-1], noise))
    end = x + h * slow.velocity(s, x, time[-1])
    return jnp.concatenate([points, x[None]]), end


def adjoints(
    slow: FlowMatching,
    s: Float[Array, "condition"],
    x: Float[Array, "steps action"],
    last: Float[Array, "action"],
) -> Float[Array, "steps action"]:
    """g_0 ... g_{K-1} at the points of a walk, carried back along v from g_K, which is `last`."""
    h, (time, _) = 1 / slow.flow_steps, step_times(slow.flow_steps)

    def backward(g, step):
        x, t = step
        pull = jax.vjp(lambda x: 2 * slow.velocity(s, x, t + h) - x / (t + h), x)[1]
        g = g + h * pull(g)[0]
        return g, g

    return jax.lax.scan(backward, last, (x, time), reverse=True)[1]


def adjoint_matching(
    fast: FlowMatching,
    slow: FlowMatching,
    s: Float[Array, "condition"],
    x: Float[Array, "steps action"],
    g: Float[Array, "steps action"],
) -> Float[Array, ""]:
    """sum_i |2 (u - v)(s, x_i, t_i) / sigma_i + sigma_i g_i|² of one walk."""

    def one(x, g, t, sigma):
        difference = fast.velocity(s, x, t) - slow.velocity(s, x, t)
        return jnp.sum((2 * difference / sigma + sigma * g) ** 2)

    return jnp.sum(jax.vmap(one)(x, g, *step_times(slow.flow_steps)))
