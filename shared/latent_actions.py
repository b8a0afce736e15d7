"""The one idea of this project: actions through a learned latent space with a box in it."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from shared.types import Box


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
    def box(self, condition: Float[Array, "condition"]) -> Box | None:
        """Where a policy may place its latents; None where the paper leaves it unbounded."""
