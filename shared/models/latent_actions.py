"""The one idea of this project: actions through a learned latent space with a box in it."""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.errors import ConfigError
from shared.types import Box, Scalar


class AbstractLatentActionSpace(eqx.Module):
    """A decoder from latent to in-support actions, and the box a policy may move in.

    `condition` is what the decoder sees of the world: the normalised
    observation (CNF, PLAS) or the model feature (C-LAP).  Actions lie in
    [-1, 1].  All methods take one event; batches are made by `jax.vmap`.
    """

    latent_size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def encode(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "latent"]:
        """The latent of an action; `key` samples where encoding is stochastic, None is its mean."""

    @abc.abstractmethod
    def decode(
        self, condition: Float[Array, "condition"], latent: Float[Array, "latent"]
    ) -> Float[Array, "action"]:
        """The action of a latent, in [-1, 1]."""

    @abc.abstractmethod
    def log_prob(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """Log-density of an action in nats: exact for a flow, a lower bound for a VAE."""

    @abc.abstractmethod
    def box(self, condition: Float[Array, "condition"], half_width: Scalar | None) -> Box | None:
        """Where a policy may place its latents; None where the paper leaves it unbounded.

        `half_width` is an argument, because one frozen space serves policies of many boxes.
        """

    def loss(
        self,
        condition: Float[Array, "condition"],
        action: Float[Array, "action"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, ""]:
        """What supervised training minimises, of one event: the negative log-density in nats."""
        return -self.log_prob(condition, action, key=key)

    def start(
        self, conditions: Float[Array, "batch condition"], actions: Float[Array, "batch action"]
    ) -> "AbstractLatentActionSpace":
        """The space as training begins, given a first batch; most have no use for one."""
        del conditions, actions
        return self

    def frozen(self) -> "AbstractLatentActionSpace":
        """The same, made ready for much decoding; not to be differentiated by its weights."""
        return self


def centered_box(size: int, half_width: Scalar | None) -> Box | None:
    """0 ± `half_width` in every one of `size` dimensions; None without a half width."""
    if half_width is None:
        return None
    return Box(jnp.zeros(size), jnp.full(size, half_width, jnp.float32))


def check_clip(latent_clip: float | None, limit: float = math.inf) -> None:
    """Raise a ConfigError unless this half width of a box is above 0 and at most `limit`."""
    if latent_clip is not None and not 0 < latent_clip <= limit:
        most = "" if limit == math.inf else f" and at most {limit:g}, where the latents end"
        raise ConfigError(f"latent_clip is {latent_clip}; choose a value above 0{most}.")
