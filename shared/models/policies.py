"""The policy that all latent-action methods share, and a deterministic one."""

import abc

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.distributions import bounded, held, log_one_minus_tanh_squared
from shared.models.networks import MLP
from shared.types import Box

LOG_STD_RANGE = (-20.0, 2.0)


class AbstractGaussianPolicy(eqx.Module):
    """A policy that squashes x ~ N(mean(s), std(s)²) with tanh."""

    @abc.abstractmethod
    def gaussian(
        self, condition: Float[Array, "condition"]
    ) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
        """Mean and log standard deviation of x."""


class BoundedLatentPolicy(AbstractGaussianPolicy):
    """z = center + half_width · u with u = tanh(x), x ~ N(mean(s), std(s)²).

    Whatever the network says, z stays inside the box it is given; an
    unbounded Gaussian (the papers' ablations) is the same policy without a
    box, z = x.  The first `unseen` numbers of a condition are left out.
    """

    network: MLP
    log_std_range: tuple[float, float] = eqx.field(static=True)
    unseen: int = eqx.field(static=True)

    def __init__(
        self,
        condition_size: int,
        latent_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        log_std_range: tuple[float, float] = LOG_STD_RANGE,
        unseen: int = 0,
        key: PRNGKeyArray,
    ):
        self.network = MLP(condition_size, 2 * latent_size, hidden_sizes, key=key)
        self.log_std_range, self.unseen = log_std_range, unseen

    def gaussian(
        self, condition: Float[Array, "condition"]
    ) -> tuple[Float[Array, "latent"], Float[Array, "latent"]]:
        """Mean and log standard deviation of x."""
        mean, log_std = jnp.split(self.network(condition[self.unseen :]), 2)
        return mean, jnp.clip(log_std, *self.log_std_range)

    def sample(
        self, condition: Float[Array, "condition"], box: Box | None, *, key: PRNGKeyArray
    ) -> Float[Array, "latent"]:
        """One reparametrised sample of z."""
        return draw(*self.gaussian(condition), box, key=key)

    def sample_with_log_prob(
        self, condition: Float[Array, "condition"], box: Box | None, *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "latent"], Float[Array, ""]]:
        """One sample of z, and the log-density (`log_prob`) taken at the x it came from.

        A policy at the edge of its box draws x far beyond what an inverse of tanh can
        tell; a density at that inverse would explode, and its entropy with it.
        """
        mean, log_std = self.gaussian(condition)
        noise = jax.random.normal(key, mean.shape)
        x = mean + jnp.exp(log_std) * noise
        log_prob = distrax.Normal(0.0, 1.0).log_prob(noise) - log_std
        if box is not None:
            log_prob = log_prob - log_one_minus_tanh_squared(x)
        return place(x, box), jnp.sum(log_prob)

    def mode(self, condition: Float[Array, "condition"], box: Box | None) -> Float[Array, "latent"]:
        """The deterministic latent: the image of the Gaussian's mean."""
        mean, _ = self.gaussian(condition)
        return place(mean, box)

    def log_prob(
        self,
        condition: Float[Array, "condition"],
        latent: Float[Array, "latent"],
        box: Box | None,
    ) -> Float[Array, ""]:
        """Log-density, in nats, of the bounded variable u (of z itself without a box).

        It is taken on u, not on z: a density on z would reward a policy for
        moving to states whose box is narrow.
        """
        mean, log_std = self.gaussian(condition)
        gaussian = distrax.Normal(mean, jnp.exp(log_std))
        if box is None:
            return jnp.sum(gaussian.log_prob(latent))
        x = jnp.arctanh(bounded((latent - box.center) / box.half_width))
        return jnp.sum(gaussian.log_prob(x) - log_one_minus_tanh_squared(x))


class TanhActor(eqx.Module):
    """A deterministic policy a = tanh(network(s)).

    Keywords (`layer_norm`, `dropout`, ...) are those of `MLP`; dropout acts in
    calls with a `key` only.
    """

    network: MLP

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        key: PRNGKeyArray,
        **keywords,
    ):
        self.network = MLP(observation_size, action_size, hidden_sizes, key=key, **keywords)

    def __call__(
        self, observation: Float[Array, "observation"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "action"]:
        return jnp.tanh(self.network(observation, key=key))


def draw(
    mean: Float[Array, "latent"],
    log_std: Float[Array, "latent"],
    box: Box | None,
    *,
    key: PRNGKeyArray,
) -> Float[Array, "latent"]:
    """One reparametrised sample of z from the Gaussian of x (several may share a network call)."""
    return place(mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape), box)


def place(x: Float[Array, "latent"], box: Box | None) -> Float[Array, "latent"]:
    """Squash an unbounded x into the box; without a box x itself is the latent.

    x is held where tanh still has a gradient, so that a saturated policy can come back.
    """
    return x if box is None else box.center + box.half_width * jnp.tanh(held(x))


def squashed_sample(
    policy: AbstractGaussianPolicy, observation: Float[Array, "observation"], *, key: PRNGKeyArray
) -> tuple[Float[Array, "action"], Float[Array, ""]]:
    """A reparametrised action tanh(x), x ~ N(mean(s), std(s)²), and its log-density in nats.

    The density is taken at x, before rounding: at the edge of [-1, 1] an
    inverse of tanh would have no gradient left.
    """
    mean, log_std = policy.gaussian(observation)
    x = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    log_prob = distrax.Normal(mean, jnp.exp(log_std)).log_prob(x)
    return jnp.tanh(x), jnp.sum(log_prob - log_one_minus_tanh_squared(x))


def squashed_mode(
    policy: AbstractGaussianPolicy, observation: Float[Array, "observation"]
) -> Float[Array, "action"]:
    """The deterministic action of the same policy: tanh(mean(s))."""
    return jnp.tanh(policy.gaussian(observation)[0])
