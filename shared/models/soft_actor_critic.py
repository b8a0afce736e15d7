"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905): the one that all its users share.

    critics  y = r + discount (1 - terminal) (min_i Q'_i(s', a') - alpha log pi(a'|s')),  a' ~ pi
             min  sum_i (Q_i(s, a) - y)²                                            (5, 6)
    actor    a~ ~ pi(.|s),  min  alpha log pi(a~|s) - min_i Q_i(s, a~)               (7)
    alpha    min  -log alpha (log pi(a~|s) - n),  n numbers in an action             (18)
    targets  Q' <- (1 - tau) Q' + tau Q

pi is the tanh of a Gaussian.  Rows, and targets that are not these, come from the caller.

Differences from the paper: the third loss is on log alpha, as in the authors' code, which keeps
alpha positive; the first is a sum of squares without the factor 1/2.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from shared.models.learner import Learner, Metrics, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics
from shared.models.policies import AbstractGaussianPolicy, squashed_sample
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
        cls,
        actor: AbstractGaussianPolicy,
        critic: Critics,
        optimizers: Optimizers,
        *,
        alpha: float = 1.0,
    ) -> "SoftActorCritic":
        """Untrained, with an entropy of this weight."""
        log_alpha = jnp.full((), math.log(alpha), jnp.float32)
        return cls(
            Learner.create(actor, optimizers.actor),
            Learner.create(critic, optimizers.critic),
            Learner.create(log_alpha, optimizers.log_alpha),
            jax.tree.map(jnp.copy, critic),  # its own buffers, so that all can be donated
        )

    @property
    def alpha(self) -> Float[Array, ""]:
        """The learned weight of the entropy."""
        return jnp.exp(self.log_alpha.model)

    def next_values(
        self, s_next: Float[Array, "batch observation"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch"], Float[Array, "batch"]]:
        """min_i Q'_i(s', a') of a sample a' ~ pi(.|s') each, and log pi(a'|s')."""

        def value(s, key):
            a, log_prob = squashed_sample(self.actor.model, s, key=key)
            return jnp.min(self.target_critic(s, a)), log_prob

        return jax.vmap(value)(s_next, jax.random.split(key, len(s_next)))

    def targets(
        self,
        reward: Float[Array, "batch"],
        terminal: Bool[Array, "batch"],
        s_next: Float[Array, "batch observation"],
        *,
        alpha: Scalar,
        discount: Scalar,
        key: PRNGKeyArray,
    ) -> Float[Array, "batch"]:
        """Soft Bellman targets y (equations 5 and 6)."""
        value, log_prob = self.next_values(s_next, key=key)
        target = jax.vmap(td_target, (0, 0, 0, None))
        return target(reward, terminal, value - alpha * log_prob, discount)

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
            self.log_alpha, optimizers.log_alpha, lambda model: alpha_loss(model, excess)
        )
        slow = polyak(self.target_critic, critic.model, tau)
        agent = SoftActorCritic(actor, critic, log_alpha, slow)
        return agent, metrics | actor_metrics | alpha_metrics


def actor_loss(
    actor: AbstractGaussianPolicy,
    critic: Critics,
    alpha: Scalar,
    s: Float[Array, "batch observation"],
    *,
    key: PRNGKeyArray,
) -> tuple[Float[Array, ""], Metrics]:
    """Mean of alpha log pi(a~|s) - min_i Q_i(s, a~) (equation 7)."""
    keys = jax.random.split(key, len(s))
    a, log_prob = jax.vmap(lambda s, k: squashed_sample(actor, s, key=k))(s, keys)
    loss = jnp.mean(alpha * log_prob - jnp.min(jax.vmap(critic)(s, a), axis=1))
    return loss, {"actor_loss": loss, "log_prob": jnp.mean(log_prob)}


def alpha_loss(
    log_alpha: Float[Array, ""], excess: Float[Array, ""]
) -> tuple[Float[Array, ""], Metrics]:
    """-log alpha times `excess`, the mean of log pi(a~|s) - n (equation 18)."""
    return -log_alpha * excess, {"alpha": jnp.exp(log_alpha)}
