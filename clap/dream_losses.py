"""What a batch of dreams teaches: equations 6 and 7 of C-LAP, which are Dreamer's.

    values    min  sum_i (V_i(h, s) - G)²,  G = lambda return of the dream  (6)
    actor     max  mean of G + entropy_scale · entropy of the policy,       (7)
              by back-propagation through rewards, values and dynamics

What keeps a policy near the data is not here: C-LAP has it in the policy's form,
Offline DV2 in the reward.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clap.agent import Agent, Dream, Values, ValueUnits
from clap.returns import lambda_returns
from shared.models.learner import Metrics
from shared.types import Scalar


def dream_losses(
    agent: Agent,
    units: ValueUnits,
    value: Callable[[Float[Array, "feature"]], Float[Array, ""]],
    dreams: Dream,
    reward: Float[Array, "batch horizon"],
    *,
    entropy_scale: Scalar,
    discount: Scalar,
    lambda_: Scalar,
) -> tuple[Float[Array, ""], Float[Array, ""], Metrics]:
    """The losses of actor and values, and metrics.

    Arguments:
        agent: what is trained; it dreamed.
        units: of the values.
        value: the value of a state in units of reward; its weights are not differentiated.
        dreams: leading axis = batch.
        reward: of the dreams' actions, as it enters the returns.
        entropy_scale: weight of the entropy.
        discount: of the returns.
        lambda_: of the returns.
    """
    v = jax.vmap(jax.vmap(value))(dreams.features)
    c = dreams.continuation
    options = {"discount": discount, "lambda_": lambda_}
    returns = jax.vmap(partial(lambda_returns, **options))(reward, c, v[:, 1:])
    weight = survival(c)
    gain = returns / units.scale - entropy_scale * dreams.log_prob
    actor_loss = -jnp.mean(weight * gain)
    value_loss = value_regression(agent.values, units, dreams.features[:, :-1], returns, weight)
    return (
        actor_loss,
        value_loss,
        {
            "value": jnp.mean(v),
            "dream_reward": jnp.mean(dreams.reward),
            "actor_loss": actor_loss,
            "entropy": -jnp.mean(dreams.log_prob),
            "saturation": jnp.mean(dreams.saturation),
            "continuation": jnp.mean(c),
            "value_loss": value_loss,
        },
    )


def survival(continuation: Float[Array, "batch horizon"]) -> Float[Array, "batch horizon"]:
    """Probability to be alive before each action; steps behind the end of an episode are void."""
    c = continuation
    alive = jnp.cumprod(jnp.concatenate([jnp.ones_like(c[:, :1]), c[:, :-1]], 1), 1)
    return jax.lax.stop_gradient(alive)


def value_regression(
    values: Values,
    units: ValueUnits,
    features: Float[Array, "batch time feature"],
    returns: Float[Array, "batch time"],
    weight: Float[Array, "batch time"],
    *,
    expectile: Scalar = 0.5,
) -> Float[Array, ""]:
    """Weighted mean over all states of sum_i |expectile - 1[V_i > G]| · 2 (V_i - G)².

    In the values' own units; an `expectile` of 0.5 is plain regression, a higher one aims
    at the better ones of a state's returns G (Kostrikov et al. 2021, IQL, equation 5).
    """
    y = jax.lax.stop_gradient(units.output(returns))
    outputs = jax.vmap(jax.vmap(values))(jax.lax.stop_gradient(features))
    surplus = y[..., None] - outputs
    side = 2 * jnp.where(surplus > 0, expectile, 1 - expectile)
    return jnp.mean(weight * jnp.sum(side * surplus**2, axis=-1))
