"""Diagonal Gaussians as plain pairs of arrays, fit to be carried through a scan."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MIN_STD = 0.1
"""Floor of the standard deviation of every latent variable."""
MEAN_LIMIT = 10.0
"""Ceiling of the mean's size: a dream cannot run away to where nothing was ever seen."""
HALF_LOG_2PI = 0.9189385332046727


class Gaussian(NamedTuple):
    """N(mean, std²), independent in every dimension."""

    mean: Float[Array, "*batch n"]
    std: Float[Array, "*batch n"]

    def sample(self, noise: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """The reparametrised sample that standard normal `noise` gives."""
        return self.mean + self.std * noise

    def log_prob(self, value: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        """Log-density in nats, summed over the last axis."""
        return log_normal(value, self.mean, jnp.log(self.std))

    def kl_divergence(self, p: "Gaussian") -> Float[Array, "*batch"]:
        """KL(self ‖ p) in nats, summed over the last axis."""
        ratio = (self.std / p.std) ** 2
        distance = ((self.mean - p.mean) / p.std) ** 2
        return 0.5 * jnp.sum(ratio + distance - 1 - jnp.log(ratio), axis=-1)


def from_network(output: Float[Array, "*batch twice"]) -> Gaussian:
    """Mean and standard deviation from a network's last layer.

    The mean is squashed, L · tanh(x / L) with L = `MEAN_LIMIT`; the deviation is
    softplus(x) + `MIN_STD`.
    """
    mean, raw = jnp.split(output, 2, axis=-1)
    return Gaussian(MEAN_LIMIT * jnp.tanh(mean / MEAN_LIMIT), jax.nn.softplus(raw) + MIN_STD)


def log_normal(
    value: Float[Array, "*batch n"],
    mean: Float[Array, "*batch n"],
    log_std: Float[Array, "*#batch #n"],
) -> Float[Array, "*batch"]:
    """Log N(value; mean, exp(log_std)²) in nats, summed over the last axis."""
    scaled = (value - mean) * jnp.exp(-log_std)
    return jnp.sum(-0.5 * scaled**2 - log_std - HALF_LOG_2PI, axis=-1)


def regularizer(
    q: Any, p: Any, *, balance: float | None = None, free_nats: float = 0.0
) -> Float[Array, "*batch"]:
    """KL(q ‖ p) of two distributions of one kind, as a loss term.

    With `balance`, its gradient is divided: that share trains the prior p towards
    the posterior q, the rest the posterior towards the prior (the value stays the
    same).  Below `free_nats` per event the term is constant and trains neither.
    """
    if balance is None:
        kl = q.kl_divergence(p)
    else:
        towards_q = jax.lax.stop_gradient(q).kl_divergence(p)
        towards_p = q.kl_divergence(jax.lax.stop_gradient(p))
        kl = balance * towards_q + (1 - balance) * towards_p
    return jnp.maximum(kl, free_nats) if free_nats > 0 else kl
