"""A box that widens online where the critics know what lies at its edge; ours.

Offline the half width is tuned once, and what the data cannot tell stays outside.  Online new rows
come in, and the critics' disagreement says how far they reach:

    edge    u ~ U(-1, 1)^n,  w = half width · u / max_j |u_j|,  sigma_edge = mean std_i Q_i(s, a_w)
    data    sigma_data = mean std_i Q_i(s, a)
    grow    half width <- min(half width + rate, widest)   if sigma_edge < sigma_data
            half width <- half width                       otherwise

over a batch of rows (s, a), those of the simulator among them; a_w is the action that noise w
becomes, i a member of the ensemble.  The box never shrinks: what the policy has learned in it stays
possible.  The statement that a box may grow just so far as an ensemble agrees is this project's,
from no paper; an ensemble also agrees where it is wrong in one way, so `widest` bounds it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.networks import Critics
from shared.types import Scalar


def edge_noise(
    count: int, size: int, half_width: Scalar, *, key: PRNGKeyArray
) -> Float[Array, "count size"]:
    """Noise on the surface of the box 0 ± `half_width`: its largest entry has that size."""
    u = jax.random.uniform(key, (count, size), minval=-1.0, maxval=1.0)
    largest = jnp.max(jnp.abs(u), axis=1, keepdims=True)
    return half_width * u / jnp.maximum(largest, 1e-6)


def disagreement(
    critic: Critics, s: Float[Array, "batch observation"], a: Float[Array, "batch action"]
) -> Float[Array, ""]:
    """Mean over a batch of the standard deviation of Q_i(s, a) over the ensemble."""
    return jnp.mean(jnp.std(jax.vmap(critic)(s, a), axis=1))


def widened(
    excess: Float[Array, ""], at_edge: Scalar, on_data: Scalar, *, rate: Scalar, most: Scalar
) -> Float[Array, ""]:
    """What the half width has grown by, after one more look at both disagreements."""
    return jnp.where(at_edge < on_data, jnp.minimum(excess + rate, most), excess)
