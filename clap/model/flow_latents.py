"""The conditional flow of CNF as the latent action space of a world model (ours, in no paper).

The condition is the model's feature [h, s], the base uniform (`shared/models/flow.py`).

    u = f(a | h, s) in (-1, 1)^n                          one latent an action
    -log p(a | h, s)                                      exact, no KL term
    box = 0 ± latent_clip, at most 1

Actions at exactly ±1 are many in some data.  A density over the open interval
may pile up there without bound, and the flow then models nothing else.  So a
training action is first moved by uniform noise in ±`noise_width`, reflected at ±1:
the heap becomes a plateau of that width, and all other actions keep their mean.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from clap.model.latent_actions import AbstractModelActions
from shared.models.flow import ConditionalFlow, FrozenFlow
from shared.types import Scalar

FIRST_ACTIONS = 1024
"""Drawn for the start of ActNorm."""


class FlowLatentActions(AbstractModelActions):
    """Latent actions without a posterior: the flow maps every action to its own latent.

    Arguments:
        feature_size: length of [h, s].
        action_size: of the data; u has the same length.
        layers, hidden_size: of the flow.
        noise_width: half width of the noise on training actions.
    """

    own_weights = True
    """Orthogonal maps, and couplings that change nothing."""

    flow: ConditionalFlow | FrozenFlow
    latent_size: int = eqx.field(static=True)
    noise_width: float = eqx.field(static=True)

    def __init__(
        self,
        feature_size: int,
        action_size: int,
        *,
        layers: int,
        hidden_size: int,
        noise_width: float,
        key: PRNGKeyArray,
    ):
        self.flow = ConditionalFlow(
            feature_size, action_size, layers=layers, hidden_size=hidden_size, key=key
        )
        self.latent_size, self.noise_width = action_size, noise_width

    def begin(
        self,
        features: Float[Array, "batch time feature"],
        actions: Float[Array, "batch time action"],
        acted: Bool[Array, "batch time"],
        *,
        key: PRNGKeyArray,
    ) -> "FlowLatentActions":
        """The same with ActNorm set from a first batch of windows."""
        k_pick, k_noise = jax.random.split(key)
        weight = acted.astype(jnp.float32).ravel()
        pick = jax.random.choice(k_pick, weight.size, (FIRST_ACTIONS,), p=weight / weight.sum())
        condition, action = (x.reshape(weight.size, -1)[pick] for x in (features, actions))
        action = self.dequantized(action, jax.random.normal(k_noise, action.shape))
        return eqx.tree_at(lambda s: s.flow, self, self.flow.start(condition, action))

    def frozen(self) -> "FlowLatentActions":
        """The same with its linear maps inverted once and for all, see `ConditionalFlow.frozen`."""
        return eqx.tree_at(lambda s: s.flow, self, self.flow.frozen())

    def dequantized(
        self, action: Float[Array, "*batch action"], noise: Float[Array, "*batch action"]
    ) -> Float[Array, "*batch action"]:
        """The action moved by at most `noise_width`, inside [-1, 1]; `noise` is standard normal."""
        uniform = jax.scipy.special.erf(noise / jnp.sqrt(2.0))
        moved = action + self.noise_width * uniform
        beyond = jnp.abs(moved) > 1
        return jnp.where(beyond, jnp.sign(moved) * (2 - jnp.abs(moved)), moved)

    def sample_prior(self, condition, *, key):
        """A uniform sample, the data's own distribution; the center without a key."""
        if key is None:
            return jnp.zeros(self.latent_size)
        return jax.random.uniform(key, (self.latent_size,), minval=-1.0, maxval=1.0)

    def encode(self, condition, action, *, key=None):
        return self.flow.encode(condition, action)

    def decode(self, condition, latent):
        return self.flow.decode(condition, latent)

    def terms(self, condition, action, noise):
        """-log p(a | h, s) of the dequantized action; there is no divergence."""
        nll = -self.log_prob(condition, self.dequantized(action, noise))
        return {"action_nll": (nll, nll)}

    def log_prob(self, condition, action, *, key=None):
        """Exact, of the action as it is given; see `ConditionalFlow.log_prob`."""
        return self.flow.log_prob(condition, action)

    def box(self, condition, half_width: Scalar | None = 1.0):
        """0 ± `half_width`, the hyperparameter `latent_clip`; None is all of (-1, 1)^n."""
        return self.flow.box(condition, half_width)
