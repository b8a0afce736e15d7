"""An editor: a small bounded policy that moves a decoded action out of what the decoder reaches.

"Q-learning with Adjoint Matching" (Li et al., 2026), the edit of QAM-E; DSRL can have it, too.
Of a decoded action d:

    edit      a = clip(d + e, ±1),  e ~ eta(·|s, d) inside 0 ± scale
              min  alpha log eta - mean_j Q_j(s, a)
    alpha     min  -alpha (log eta + target entropy),  target entropy = -n / 2

eta = `policy`, log of alpha = `log_alpha`.  Whatever eta says, a is never farther from d than
`scale` in any dimension.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from shared.models.latent_actions import centered_box
from shared.models.learner import Learner, Metrics, descend
from shared.models.networks import Critics
from shared.models.policies import BoundedLatentPolicy
from shared.types import Scalar


class Editor(NamedTuple):
    """The edit policy, and the logarithm of its entropy's temperature."""

    policy: Learner
    log_alpha: Learner

    @classmethod
    def create(
        cls,
        observation_size: int,
        action_size: int,
        hidden_sizes: tuple[int, ...],
        optimizer: optax.GradientTransformation,
        *,
        key: PRNGKeyArray,
    ) -> "Editor":
        """Untrained; alpha begins at 1."""
        size = observation_size + action_size
        policy = BoundedLatentPolicy(size, action_size, hidden_sizes, key=key)
        return cls(Learner.create(policy, optimizer), Learner.create(jnp.zeros(()), optimizer))

    def edited(
        self,
        s: Float[Array, "observation"],
        decoded: Float[Array, "action"],
        scale: Scalar,
        *,
        key: PRNGKeyArray | None,
    ) -> Float[Array, "action"]:
        """The action that a decoded one becomes; the edit's mode without a key."""
        seen, box = jnp.concatenate([s, decoded]), centered_box(decoded.size, scale)
        policy = self.policy.model
        edit = policy.mode(seen, box) if key is None else policy.sample(seen, box, key=key)
        return jnp.clip(decoded + edit, -1.0, 1.0)

    def improved(
        self,
        critic: Critics,
        s: Float[Array, "batch observation"],
        decoded: Float[Array, "batch action"],
        scale: Scalar,
        optimizer: optax.GradientTransformation,
        *,
        keys: Key[Array, "batch"],
    ) -> tuple["Editor", Metrics]:
        """One step of the policy and of its temperature, over a batch."""
        alpha, size = jnp.exp(self.log_alpha.model), decoded.shape[1]
        box = centered_box(size, scale)

        def edit_loss(policy):
            def terms(s, decoded, key):
                seen = jnp.concatenate([s, decoded])
                edit, log_prob = policy.sample_with_log_prob(seen, box, key=key)
                return jnp.mean(critic(s, jnp.clip(decoded + edit, -1.0, 1.0))), log_prob

            q, log_prob = jax.vmap(terms)(s, decoded, keys)
            loss = jnp.mean(alpha * log_prob - q)
            return loss, {"edit_loss": loss, "edit_log_prob": jnp.mean(log_prob)}

        policy, metrics = descend(self.policy, optimizer, edit_loss)
        excess = metrics["edit_log_prob"] - size / 2

        def alpha_loss(log_alpha):
            alpha = jnp.exp(log_alpha)
            return -alpha * excess, {"edit_alpha": alpha}

        log_alpha, alpha_metrics = descend(self.log_alpha, optimizer, alpha_loss)
        return Editor(policy, log_alpha), metrics | alpha_metrics
