"""Soft actor-critic (Haarnoja et al. 2018) on rows and targets that somebody else makes.

critics  min  sum_i (Q_i(s, a) - y)²
actor    a~ ~ pi(.|s),  min  alpha log pi(a~|s) - min_i Q_i(s, a~)
alpha    min  -log alpha (log pi(a~|s) - n),  n numbers in an action; alpha at most 1
targets  Q' <- (1 - tau) Q' + tau Q
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.learner import Learner, Metrics, descend, polyak
from shared.models.losses import td_loss
from shared.models.networks import Critics
from shared.models.policies import BoundedLatentPolicy, squashed_sample
from shared.types import Scalar


class Optimizers(NamedTuple):
    """One a learner."""

    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    log_alpha: optax.GradientTransformation


class SoftActorCritic(NamedTuple):
    """A policy, its critics, the weight of its entropy, and slow critics for targets."""

    actor: Learner
    critic: Learner
    log_alpha: Learner
    target_critic: Critics

    @classmethod
    def create(
        cls, actor: BoundedLatentPolicy, critic: Critics, optimizers: Optimizers
    ) -> "SoftActorCritic":
        """Untrained; alpha begins at 1."""
        return cls(
            Learner.create(actor, optimizers.actor),
            Learner.create(critic, optimizers.critic),
            Learner.create(jnp.zeros(()), optimizers.log_alpha),
            critic,
        )

    def alpha(self, fixed: Scalar | None) -> Scalar:
        """Weight of the entropy: the learned one, unless it is `fixed`."""
        return jnp.minimum(jnp.exp(self.log_alpha.model), 1.0) if fixed is None else fixed

    def next_values(
        self, s_next: Float[Array, "batch observation"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
        """min_i Q'_i(s', a') of a sample a' ~ pi(.|s') each, and log pi(a'|s')."""

        def value(s, key):
            a, log_prob = squashed_sample(self.actor.model, s, key=key)
            return jnp.min(self.target_critic(s, a)), log_prob

        return jax.vmap(value)(s_next, jax.random.split(key, len(s_next)))

    def improve(
        self,
        optimizers: Optimizers,
        s: Float[Array, "batch observation"],
        a: Float[Array, "batch action"],
        y: Float[Array, "batch"],
        *,
        alpha: Scalar,
        tau: Scalar,
        key: PRNGKeyArray,
    ) -> tuple["SoftActorCritic", Metrics]:
        """One step of critics, actor, log alpha and target critics."""
        critic, metrics = descend(
            self.critic, optimizers.critic, lambda model: td_loss(model, s, a, y)
        )
        actor, actor_metrics = descend(
            self.actor,
            optimizers.actor,
            lambda model: actor_loss(model, critic.model, alpha, s, key=key),
        )
        excess = actor_metrics["log_prob"] - a.shape[1]
        log_alpha, alpha_metrics = descend(
            self.log_alpha,
            optimizers.log_alpha,
            lambda model: (-model * excess, {"alpha": jnp.exp(model)}),
        )
        slow = polyak(self.target_critic, critic.model, tau)
        agent = SoftActorCritic(actor, critic, log_alpha, slow)
        return agent, metrics | actor_metrics | alpha_metrics


def actor_loss(
    actor: BoundedLatentPolicy,
    critic: Critics,
    alpha: Scalar,
    s: Float[Array, "batch observation"],
    *,
    key: PRNGKeyArray,
) -> tuple[Float[Array, ""], Metrics]:
    """Mean of alpha log pi(a~|s) - min_i Q_i(s, a~)."""
    keys = jax.random.split(key, len(s))
    a, log_prob = jax.vmap(lambda s, k: squashed_sample(actor, s, key=k))(s, keys)
    loss = jnp.mean(alpha * log_prob - jnp.min(jax.vmap(critic)(s, a), axis=1))
    return loss, {"actor_loss": loss, "log_prob": jnp.mean(log_prob)}
