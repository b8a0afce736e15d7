"""The conditional variational autoencoder over actions (PLAS, section 4).

    q(z|s, a) = N(mean, std²),  p(z) = N(0, I),  a = decoder(s, z) ∈ [-1, 1]

trained on  MSE + kl_weight · KL,  both averaged over their own dimensions.  The
same sum is, up to a constant and a factor, the negative evidence lower bound of
a decoder density p(a|s, z) = N(decoder(s, z), σ²) with

    σ² = kl_weight · n / (2 m)          n action and m latent entries

(kl_weight / 4 for PLAS's m = 2 n), which is the density `log_prob` reports.
"""

import math
from typing import NamedTuple

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.errors import ConfigError
from shared.models.latent_actions import AbstractLatentActionSpace, centered_box
from shared.models.networks import MLP
from shared.types import Box, Scalar

LOG_STD_RANGE = (-4.0, 15.0)


class VAETerms(NamedTuple):
    """The two terms of the training loss of one event, unweighted."""

    reconstruction: Float[Array, ""]
    kl: Float[Array, ""]


class ConditionalVAE(AbstractLatentActionSpace):
    """PLAS's action encoder.

    Arguments:
        condition_size: length of the condition.
        action_size: n.
        hidden_sizes: of encoder and decoder alike; the paper has (750, 750), and
            (128, 128) for data sets under a million rows.
        latent_size: m, 2 n if None.
        kl_weight: weight of the KL term in training, which fixes σ (see above).
        samples: L, importance samples behind `log_prob`.
        key: initialises the weights.

    Raises:
        ConfigError: for a weight or number of samples that is not positive.
    """

    encoder: MLP
    decoder: MLP
    latent_size: int = eqx.field(static=True)
    kl_weight: float = eqx.field(static=True)
    samples: int = eqx.field(static=True)

    def __init__(
        self,
        condition_size: int,
        action_size: int,
        *,
        hidden_sizes: tuple[int, ...] = (750, 750),
        latent_size: int | None = None,
        kl_weight: float = 0.5,
        samples: int = 1,
        key: PRNGKeyArray,
    ):
        for name, value in (("kl_weight", kl_weight), ("samples", samples)):
            if value <= 0:
                raise ConfigError(f"{name} is {value}, but it must be positive.")
        latent_size = 2 * action_size if latent_size is None else latent_size
        keys = jax.random.split(key)
        self.encoder = MLP(condition_size + action_size, 2 * latent_size, hidden_sizes, key=keys[0])
        self.decoder = MLP(condition_size + latent_size, action_size, hidden_sizes, key=keys[1])
        self.latent_size = latent_size
        self.kl_weight = kl_weight
        self.samples = samples

    def posterior(
        self, condition: Float[Array, "condition"], action: Float[Array, "action"]
    ) -> tuple[Float[Array, "latent"], Float[Array, "latent"]]:
        """Mean and log standard deviation of q(z|s, a); the latter in [-4, 15]."""
        mean, log_std = jnp.split(self.encoder(jnp.concatenate([condition, action])), 2)
        return mean, jnp.clip(log_std, *LOG_STD_RANGE)

    def encode(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "latent"]:
        """A sample of q(z|s, a), or its mean without a key."""
        mean, log_std = self.posterior(condition, action)
        return _sample(mean, log_std, key)

    def decode(
        self, condition: Float[Array, "condition"], latent: Float[Array, "latent"]
    ) -> Float[Array, "action"]:
        """The tanh of the decoder network, in [-1, 1]."""
        return jnp.tanh(self.decoder(jnp.concatenate([condition, latent])))

    def loss(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """The sum reconstruction + kl_weight · kl of one event, see `terms`."""
        reconstruction, kl = self.terms(condition, action, key=key)
        return reconstruction + self.kl_weight * kl

    def terms(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> VAETerms:
        """Reconstruction error of one posterior sample, and KL(q(z|s, a) ‖ p(z)).

        The first is a mean over action entries, the second a mean over latent
        entries, in nats.  Without a key the sample is the posterior's mean.
        """
        mean, log_std = self.posterior(condition, action)
        latent = _sample(mean, log_std, key)
        reconstruction = jnp.mean((self.decode(condition, latent) - action) ** 2)
        return VAETerms(reconstruction, jnp.mean(kl_to_standard_normal(mean, log_std)))

    def log_prob(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """A lower bound, in expectation over `key`, of log p(a|s) in nats.

        With one sample it is the evidence lower bound with its KL in closed
        form; with L samples z ~ q it is the tighter
        log 1/L Σ p(a|s, z) p(z) / q(z|s, a)  (SPOT, eq. 6).

        Without a key the one sample is the posterior mean, which is
        deterministic but no longer a bound.

        Raises:
            ValueError: without a key if there is more than one sample.
        """
        if self.samples == 1:
            mean, log_std = self.posterior(condition, action)
            likelihood = self._likelihood(
                condition, action, self.encode(condition, action, key=key)
            )
            return likelihood - jnp.sum(kl_to_standard_normal(mean, log_std))
        if key is None:
            raise ValueError("log_prob of a ConditionalVAE with several samples needs a key.")
        weights = jax.vmap(lambda k: self._importance_weight(condition, action, key=k))(
            jax.random.split(key, self.samples)
        )
        return jax.nn.logsumexp(weights) - math.log(self.samples)

    def box(
        self, condition: Float[Array, "condition"], half_width: Scalar | None = None
    ) -> Box | None:
        """0 ± `half_width`, or None."""
        del condition
        return centered_box(self.latent_size, half_width)

    def _likelihood(self, condition, action, latent):
        variance = self.kl_weight * action.size / (2 * self.latent_size)
        decoded = distrax.Normal(self.decode(condition, latent), math.sqrt(variance))
        return jnp.sum(decoded.log_prob(action))

    def _importance_weight(self, condition, action, *, key):
        """The log of p(a|s, z) p(z) / q(z|s, a) for one z ~ q."""
        mean, log_std = self.posterior(condition, action)
        posterior = distrax.Normal(mean, jnp.exp(log_std))
        prior = distrax.Normal(jnp.zeros_like(mean), jnp.ones_like(mean))
        latent = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        ratio = jnp.sum(jnp.subtract(prior.log_prob(latent), posterior.log_prob(latent)))
        return self._likelihood(condition, action, latent) + ratio


def _sample(mean, log_std, key):
    """One reparametrised sample of N(mean, std²), or the mean without a key."""
    return mean if key is None else mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)


def kl_to_standard_normal(
    mean: Float[Array, "latent"], log_std: Float[Array, "latent"]
) -> Float[Array, "latent"]:
    """KL(N(mean, std²) ‖ N(0, 1)) per entry, in nats."""
    return 0.5 * (jnp.exp(2 * log_std) + mean**2 - 1) - log_std
