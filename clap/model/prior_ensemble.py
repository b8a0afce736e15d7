"""Several priors p_k(s_t | h_t) in the place of one: heads of one shape that share no weight.

    mean disagreement     mean_k ‖mu_k - mean_j mu_j‖                (Offline DV2)
    log-probability       std_k log p_k(s')                          (LOMPO)

Both say how little the data told about a step: members agree where it lies, and
nothing makes them elsewhere.  A single prior is kept as it is, without an axis of members.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from clap.model.states import Distribution
from shared.models.networks import MLP

TINY = 1e-12
"""Added to squared distances, whose root has no gradient at zero."""


def make_members(make: Callable[..., MLP], count: int, *, key: PRNGKeyArray) -> MLP:
    """`count` networks of `make(key=key)` with a leading axis of members; a single one without."""
    if count == 1:
        return make(key=key)
    return eqx.filter_vmap(lambda k: make(key=k))(jax.random.split(key, count))


def member_of(members: MLP, index: int | Int[Array, ""]) -> MLP:
    """One of several; where all events of a batch share the `index`, its weights are no batch."""
    return jax.tree.map(
        lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False) if eqx.is_array(x) else x,
        members,
    )


def draw_members(count: int, length: int, *, key: PRNGKeyArray) -> Int[Array, "length"] | None:
    """Which member speaks at each of `length` steps; None if there is one alone."""
    return None if count == 1 else jax.random.randint(key, (length,), 0, count)


def mean_disagreement(priors: Distribution) -> Float[Array, ""]:
    """mean_k ‖mu_k - mean_j mu_j‖ of one state's priors; leading axis = member.

    The mean of a one-hot variable is the vector of its probabilities.
    """
    mean = priors.mean
    distance = jnp.sum((mean - jnp.mean(mean, axis=0, keepdims=True)) ** 2, axis=-1)
    return jnp.mean(jnp.sqrt(distance + TINY))


def log_prob_spread(priors: Distribution, stochastic: Float[Array, "n"]) -> Float[Array, ""]:
    """std_k log p_k(s') of one state s', in nats; leading axis of `priors` = member."""
    return jnp.std(jax.vmap(lambda prior: prior.log_prob(stochastic))(priors))
