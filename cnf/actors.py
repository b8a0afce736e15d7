"""Policies over actions that several algorithms share, written for one observation."""

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.networks import MLP
from shared.models.policies import BoundedLatentPolicy
from shared.types import Box


class GaussianActor(eqx.Module):
    """a ~ N(mean(s), std²) with a standard deviation that is the same in every state.

    Nothing squashes the samples: whoever acts with one must clip it to [-1, 1].

    Arguments:
        observation_size: length of s.
        action_size: length of a.
        hidden_sizes: of the network that gives the mean.
        tanh_mean: keep the mean in [-1, 1].
        log_std_range: the learned log standard deviation is clipped to it.
        key: initialises the network; the log standard deviation starts at 0.
        **keywords: those of `MLP`; dropout acts in calls with a `key` only.
    """

    network: MLP
    log_std: Float[Array, "action"]
    tanh_mean: bool = eqx.field(static=True)
    log_std_range: tuple[float, float] = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        tanh_mean: bool,
        log_std_range: tuple[float, float],
        key: PRNGKeyArray,
        **keywords,
    ):
        self.network = MLP(observation_size, action_size, hidden_sizes, key=key, **keywords)
        self.log_std = jnp.zeros(action_size)
        self.tanh_mean = tanh_mean
        self.log_std_range = log_std_range

    def mode(
        self, observation: Float[Array, "observation"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "action"]:
        """The mean; a `key` turns the network's dropout on."""
        mean = self.network(observation, key=key)
        return jnp.tanh(mean) if self.tanh_mean else mean

    def std(self) -> Float[Array, "action"]:
        """Standard deviation of every action dimension."""
        return jnp.exp(jnp.clip(self.log_std, *self.log_std_range))

    def sample(
        self, observation: Float[Array, "observation"], *, key: PRNGKeyArray
    ) -> Float[Array, "action"]:
        """One reparametrised sample."""
        mean = self.mode(observation)
        return mean + self.std() * jax.random.normal(key, mean.shape)

    def log_prob(
        self,
        observation: Float[Array, "observation"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """Log-density in nats; a `key` turns the network's dropout on."""
        mean = self.mode(observation, key=key)
        return jnp.sum(distrax.Normal(mean, self.std()).log_prob(action))


def squashed_log_prob(
    policy: BoundedLatentPolicy,
    observation: Float[Array, "observation"],
    action: Float[Array, "action"],
) -> Float[Array, ""]:
    """Log-density in nats of a given action in [-1, 1] under the same policy."""
    return policy.log_prob(observation, action, Box(jnp.zeros_like(action), jnp.ones_like(action)))


def squashed_divergence(
    policy: BoundedLatentPolicy,
    other: BoundedLatentPolicy,
    observation: Float[Array, "observation"],
) -> Float[Array, ""]:
    """KL(policy || other) at one observation, in nats.

    The tanh is one-to-one and drops out: it is the divergence of the two Gaussians, exactly.
    """
    ours, theirs = (
        distrax.Normal(mean, jnp.exp(log_std))
        for mean, log_std in (policy.gaussian(observation), other.gaussian(observation))
    )
    return jnp.sum(ours.kl_divergence(theirs))
