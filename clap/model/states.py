"""What the random variables of a world model are, and what the stochastic state s is.

Both latent variables are diagonal Gaussians (the paper's), the state optionally one-hot
variables.  A network's output describes the distribution; explicit noise draws from it, so
that a sample can be drawn again, and zero noise gives the likeliest one.
"""

import abc
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

MIN_STD = 0.1
"""Floor of the standard deviation of every latent variable."""
MEAN_LIMIT = 10.0
"""Ceiling of the mean's size: a dream cannot run away to where nothing was ever seen."""
HALF_LOG_2PI = 0.9189385332046727
UNIFORM_SHARE = 0.01
"""Of every discrete distribution, so that no class is ever impossible (DreamerV3)."""


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


class Latent(NamedTuple):
    """The model's state: h and s."""

    deterministic: Float[Array, "*batch deterministic"]
    stochastic: Float[Array, "*batch stochastic"]

    @property
    def feature(self) -> Float[Array, "*batch feature"]:
        """[h, s], all that the model knows."""
        return jnp.concatenate([self.deterministic, self.stochastic], axis=-1)


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


def states_of(kind: Literal["gaussian", "discrete"], size: int, classes: int) -> AbstractStates:
    """`size` Gaussian numbers, or as many variables of `classes` each."""
    return DiscreteStates(size, classes) if kind == "discrete" else GaussianStates(size)


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
