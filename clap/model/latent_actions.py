"""The latent actions of a world model: a conditional VAE over actions whose prior is learned.

The condition is the model's feature [h, s].

    p(u | h, s)     = N(mu, sigma²)                       prior
    q(u | h, s, a)                                        posterior
    p(a | h, s, u)  = N(decoder(h, s, u), action_std²)    decoder, its mean is in [-1, 1]
    box             = mu ± support · sigma                (equations 10-12)

The decoder's standard deviation is fixed: with unit variance the latent dies,
because reconstructing actions in [-1, 1] then hardly pays for its divergence.
"""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from clap.model.states import Gaussian, from_network, log_normal, regularizer
from shared.models.latent_actions import AbstractLatentActionSpace
from shared.models.networks import MLP, selu
from shared.types import Box, Scalar

ActionTerms = dict[str, tuple[Float[Array, ""], Float[Array, ""]]]
"""Name -> (value, value as it enters the loss) of the action's part of the ELBO."""


class AbstractModelActions(AbstractLatentActionSpace):
    """What a world model asks of its latent actions besides.

    Attributes:
        models_actions: does it model the data's actions, or take every action for what it is?
        own_weights: do its weights begin in a way of their own, not as `initialise` says?
    """

    models_actions: ClassVar[bool] = True
    own_weights: ClassVar[bool] = False

    @property
    def noise_size(self) -> int:
        """Standard normal numbers that `terms` takes for one action."""
        return self.latent_size

    @abc.abstractmethod
    def sample_prior(
        self, condition: Float[Array, "feature"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "latent"]:
        """A latent as the data's actions have them; the central one without a key."""

    @abc.abstractmethod
    def terms(
        self,
        condition: Float[Array, "feature"],
        action: Float[Array, "action"],
        noise: Float[Array, "noise"],
    ) -> ActionTerms:
        """The action's part of the negative ELBO; `noise` is standard normal."""

    def begin(
        self,
        features: Float[Array, "batch time feature"],
        actions: Float[Array, "batch time action"],
        acted: Bool[Array, "batch time"],
        *,
        key: PRNGKeyArray,
    ) -> "AbstractModelActions":
        """The space as training begins, given a first batch of windows; most need none."""
        del features, actions, acted, key
        return self

    def frozen(self) -> "AbstractModelActions":
        """The same, made ready for much decoding; not to be differentiated by its weights."""
        return self


class GaussianLatentActions(AbstractModelActions):
    """The action heads of C-LAP.

    Arguments:
        feature_size: length of [h, s].
        action_size: of the data.
        latent_size: length of u.
        hidden_sizes: of all three networks.
        action_std: standard deviation of the decoder.
        free_nats: nats of the divergence that are free.
    """

    latent_size: int = eqx.field(static=True)
    action_std: float = eqx.field(static=True)
    free_nats: float = eqx.field(static=True)
    prior_network: MLP
    posterior_network: MLP
    decoder_network: MLP

    def __init__(
        self,
        feature_size: int,
        action_size: int,
        latent_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        action_std: float,
        free_nats: float = 0.0,
        key: PRNGKeyArray,
    ):
        self.latent_size, self.action_std, self.free_nats = latent_size, action_std, free_nats

        def network(n_in, n_out, key):
            return MLP(n_in, n_out, hidden_sizes, activation=selu, key=key)

        k_prior, k_posterior, k_decoder = jax.random.split(key, 3)
        self.prior_network = network(feature_size, 2 * latent_size, k_prior)
        self.posterior_network = network(feature_size + action_size, 2 * latent_size, k_posterior)
        self.decoder_network = network(feature_size + latent_size, action_size, k_decoder)

    def prior(self, condition: Float[Array, "feature"]) -> Gaussian:
        """p(u | h, s)."""
        return from_network(self.prior_network(condition))

    def sample_prior(self, condition, *, key):
        prior = self.prior(condition)
        if key is None:
            return prior.mean
        return prior.sample(jax.random.normal(key, prior.mean.shape))

    def posterior(
        self, condition: Float[Array, "feature"], action: Float[Array, "action"]
    ) -> Gaussian:
        """q(u | h, s, a)."""
        return from_network(self.posterior_network(jnp.concatenate([condition, action])))

    def encode(self, condition, action, *, key=None):
        posterior = self.posterior(condition, action)
        if key is None:
            return posterior.mean
        return posterior.sample(jax.random.normal(key, posterior.mean.shape))

    def decode(self, condition, latent):
        return jnp.tanh(self.decoder_network(jnp.concatenate([condition, latent])))

    def log_likelihood(
        self,
        condition: Float[Array, "feature"],
        latent: Float[Array, "latent"],
        action: Float[Array, "action"],
    ) -> Float[Array, ""]:
        """Log p(a | h, s, u) in nats."""
        log_std = jnp.full(action.shape, jnp.log(self.action_std))
        return log_normal(action, self.decode(condition, latent), log_std)

    def terms(self, condition, action, noise):
        """-log p(a | h, s, u) and KL(q(u) ‖ p(u)), for one sample of u."""
        prior, posterior = self.prior(condition), self.posterior(condition, action)
        nll = -self.log_likelihood(condition, posterior.sample(noise), action)
        loss = regularizer(posterior, prior, free_nats=self.free_nats)
        kl = posterior.kl_divergence(prior)
        return {"action_nll": (nll, nll), "latent_action_kl": (kl, loss)}

    def log_prob(self, condition, action, *, key=None):
        """A lower bound, the ELBO of one action: from one posterior sample, or its mean."""
        latent = self.encode(condition, action, key=key)
        divergence = self.posterior(condition, action).kl_divergence(self.prior(condition))
        return self.log_likelihood(condition, latent, action) - divergence

    def box(self, condition, half_width: Scalar | None = 1.0):
        """The prior's mean ± `half_width` (the support) · its standard deviation, or None."""
        if half_width is None:
            return None
        prior = self.prior(condition)
        return Box(prior.mean, half_width * prior.std)


class DirectActions(AbstractModelActions):
    """No latent action: the policy moves in [-1, 1]^n itself, as in Dreamer (ablation)."""

    models_actions = False

    latent_size: int = eqx.field(static=True)

    def sample_prior(self, condition, *, key):
        """A uniform sample; zero without a key."""
        shape = (self.latent_size,)
        if key is None:
            return jnp.zeros(shape)
        return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)

    def encode(self, condition, action, *, key=None):
        return action

    def decode(self, condition, latent):
        return latent

    def terms(self, condition, action, noise):
        """None: the plain state-space model does not model actions."""
        return {}

    def log_prob(self, condition, action, *, key=None):
        """Of the uniform density on [-1, 1]^n: this space knows nothing of the data."""
        return jnp.asarray(-self.latent_size * jnp.log(2.0), jnp.float32)

    def box(self, condition, half_width: Scalar | None = 1.0):
        """All actions there are, whatever the `half_width`."""
        return Box(jnp.zeros(self.latent_size), jnp.ones(self.latent_size))


class MarkovActions(AbstractModelActions):
    """Latent actions of another kind that see s alone: the first `unseen` numbers, h, are left out.

    A decoder that sees h can copy the actions before, which h was made of.
    """

    space: AbstractModelActions
    unseen: int = eqx.field(static=True)

    @property
    def latent_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Length of u."""
        return self.space.latent_size

    @property
    def own_weights(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As of the space."""
        return self.space.own_weights

    @property
    def noise_size(self) -> int:
        """As of the space."""
        return self.space.noise_size

    def sample_prior(self, condition, *, key):
        return self.space.sample_prior(condition[self.unseen :], key=key)

    def encode(self, condition, action, *, key=None):
        return self.space.encode(condition[self.unseen :], action, key=key)

    def decode(self, condition, latent):
        return self.space.decode(condition[self.unseen :], latent)

    def terms(self, condition, action, noise):
        return self.space.terms(condition[self.unseen :], action, noise)

    def log_prob(self, condition, action, *, key=None):
        return self.space.log_prob(condition[self.unseen :], action, key=key)

    def box(self, condition, half_width: Scalar | None = 1.0):
        return self.space.box(condition[self.unseen :], half_width)

    def begin(self, features, actions, acted, *, key):
        space = self.space.begin(features[..., self.unseen :], actions, acted, key=key)
        return MarkovActions(space, self.unseen)

    def frozen(self):
        return MarkovActions(self.space.frozen(), self.unseen)
