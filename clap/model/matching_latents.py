"""The noise of a flow-matching decoder as the latent action of a world model (ours, in no paper).

The condition is the model's feature [h, s]; `shared/models/flow_matching.py` says what the decoder
is and how it learns.

    u = x_0 ~ N(0, I)                                     prior, the same in every state
    a = the end of the flow from u, in K Euler steps      decoder
    min  |v(h, s, x_t, t) - (a - x_0)|²                   in place of -log p(a) and KL(u)
    box = 0 ± support · 1                                 support standard deviations of the prior

There is no posterior: noise and action of a pair are independent, so the loss needs no latent of
the recorded action.  Whoever asks for one gets the noise that this very decoder carries there.

The matching loss is no likelihood.  In nats, an observation's error and an action's would have no
common unit, so no gradient of it reaches the model: its states are those of observations, rewards
and ends alone, and the size of the loss does not matter to Adam.  With the gradient, 1,000 updates
on hopper-medium-replay learned the actions no better (held-out matching loss .907, without it
.900), and the observations worse (.154 nats a step, -.075).
"""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from clap.model.latent_actions import AbstractModelActions
from shared.models.flow_matching import FlowMatching
from shared.types import Scalar


class MatchingLatentActions(AbstractModelActions):
    """Latent actions that are noise, as long as the action.

    Arguments:
        feature_size: length of [h, s].
        action_size: of the data; u has the same length.
        hidden_sizes: of the velocity field.
        flow_steps: K, Euler steps from noise to action.
        key: initialises the weights.
    """

    flow: FlowMatching

    def __init__(
        self,
        feature_size: int,
        action_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        flow_steps: int,
        key: PRNGKeyArray,
    ):
        form = {"hidden_sizes": hidden_sizes, "flow_steps": flow_steps}
        self.flow = FlowMatching(feature_size, action_size, **form, key=key)

    @property
    def latent_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Length of u."""
        return self.flow.latent_size

    @property
    def noise_size(self) -> int:
        """Of a point on a line: its beginning, and one number that says how far along it lies."""
        return self.latent_size + 1

    def sample_prior(self, condition, *, key):
        """Standard normal noise; zero without a key."""
        del condition
        shape = (self.latent_size,)
        return jnp.zeros(shape) if key is None else jax.random.normal(key, shape)

    def encode(self, condition, action, *, key=None):
        """The noise that the decoder carries to this action; there is nothing to sample."""
        return self.flow.encode(condition, action)

    def decode(self, condition, latent):
        return self.flow.decode(condition, latent)

    def terms(self, condition, action, noise):
        """The matching loss at one point, which is no likelihood, without a gradient to [h, s]."""
        start, time = noise[:-1], jax.scipy.stats.norm.cdf(noise[-1])
        loss = self.flow.matching(jax.lax.stop_gradient(condition), action, start, time)
        return {"action_matching": (loss, loss)}

    def log_prob(self, condition, action, *, key=None):
        """Exact, of the decoded action before it is clipped; see `FlowMatching.log_prob`."""
        return self.flow.log_prob(condition, action)

    def box(self, condition, half_width: Scalar | None = 1.0):
        """0 ± `half_width`, in standard deviations of the prior (the support), or None."""
        return self.flow.box(condition, half_width)
