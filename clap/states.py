"""What the stochastic state s is: a Gaussian vector (the paper's), or one-hot variables.

A network's output describes its distribution; explicit noise draws from it, so that a
state can be drawn again, and zero noise gives the likeliest one.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.gaussian import Gaussian, from_network

UNIFORM_SHARE = 0.01
"""Of every discrete distribution, so that no class is ever impossible (DreamerV3)."""


class Categorical(NamedTuple):
    """Independent one-hot variables, given by their log-probabilities in nats."""

    log_probs: Float[Array, "*batch variables classes"]

    def sample(self, noise: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """The one-hot vectors, one behind the other, that Gumbel `noise` draws.

        The gradient is that of the probabilities (straight-through).
        """
        scores = self.log_probs + noise.reshape(self.log_probs.shape)
        drawn = jax.nn.one_hot(jnp.argmax(scores, axis=-1), scores.shape[-1])
        probs = jnp.exp(self.log_probs)
        return (drawn + (probs - jax.lax.stop_gradient(probs))).reshape(noise.shape)

    @property
    def mean(self) -> Float[Array, "*batch n"]:
        """The probabilities, one variable's behind the other's."""
        return jnp.exp(self.log_probs).reshape(*self.log_probs.shape[:-2], -1)

    def log_prob(self, value: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        """Log-probability in nats of one-hot vectors, summed over the variables."""
        return jnp.sum(value.reshape(self.log_probs.shape) * self.log_probs, axis=(-2, -1))

    def kl_divergence(self, p: "Categorical") -> Float[Array, "*batch"]:
        """KL(self ‖ p) in nats, summed over the variables."""
        difference = jnp.exp(self.log_probs) * (self.log_probs - p.log_probs)
        return jnp.sum(difference, axis=(-2, -1))


Distribution = Gaussian | Categorical


class AbstractStates(eqx.Module):
    """A kind of stochastic state."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Length of s."""

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """Length of the network output that describes its distribution."""

    @abc.abstractmethod
    def distribution(self, output: Float[Array, "outputs"]) -> Distribution:
        """The distribution that a network's output describes."""

    @abc.abstractmethod
    def noise(self, *shape: int, key: PRNGKeyArray) -> Float[Array, "*batch n"]:
        """Noise for the samples of a batch of this shape."""


class GaussianStates(AbstractStates):
    """N(mean, std²) in every dimension."""

    length: int = eqx.field(static=True)

    @property
    def size(self):
        return self.length

    @property
    def output_size(self):
        return 2 * self.length

    def distribution(self, output):
        return from_network(output)

    def noise(self, *shape, key):
        return jax.random.normal(key, (*shape, self.length))


class DiscreteStates(AbstractStates):
    """`variables` one-hot vectors of `classes` entries each."""

    variables: int = eqx.field(static=True)
    classes: int = eqx.field(static=True)

    @property
    def size(self):
        return self.variables * self.classes

    @property
    def output_size(self):
        return self.size

    def distribution(self, output):
        probs = jax.nn.softmax(output.reshape(self.variables, self.classes))
        return Categorical(jnp.log((1 - UNIFORM_SHARE) * probs + UNIFORM_SHARE / self.classes))

    def noise(self, *shape, key):
        return jax.random.gumbel(key, (*shape, self.size))
