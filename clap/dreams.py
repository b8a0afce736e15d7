"""Dreams: where they begin, how a policy moves in them, and what a batch of them teaches.

    values    min  sum_i (V_i(h, s) - G)²,  G = lambda return of the dream  (6)
    actor     max  mean of G + entropy_scale · entropy of the policy,       (7)
              by back-propagation through rewards, values and dynamics

Equations 6 and 7 of C-LAP, which are Dreamer's.  What keeps a policy near the data is not in
them: C-LAP has it in the policy's form, Offline DV2 in the reward.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from clap.agent import Agent, Values, ValueUnits
from clap.model.rssm import Latent
from clap.model.world_model import WorldModel
from clap.returns import lambda_returns
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import Metrics
from shared.models.policies import BoundedLatentPolicy
from shared.types import Scalar

SATURATED = 0.99
"""Beyond this the bounded variable counts as sitting at the edge of its box."""


def draw_starts(latents: Latent, batch: EpisodeWindow, count: int, *, key: PRNGKeyArray) -> Latent:
    """`count` states from a batch of windows, without padding and states behind a fatal action.

    `latents` has leading axes batch and time, the result the axis `count`.
    """
    over = jnp.zeros(batch.observed.shape, bool).at[:, 1:].set(batch.window.terminal[:, :-1])
    weight = (batch.observed & ~over).astype(jnp.float32).ravel()
    pick = jax.random.choice(key, weight.size, (count,), p=weight / jnp.sum(weight))
    return jax.tree.map(lambda x: x.reshape(weight.size, x.shape[-1])[pick], latents)


class Dream(NamedTuple):
    """One imagined rollout; leading axis = horizon but where noted.

    Attributes:
        features: `horizon` + 1 of them, the first is where the dream began.
        latents: the states behind the actions.
        reward: mean reward of each action.
        continuation: probability that the episode goes on behind each action.
        log_prob: of the bounded variable, in nats.
        saturation: share of dimensions at the edge of the box.
    """

    features: Float[Array, "*batch states feature"]
    latents: Latent
    reward: Float[Array, "*batch horizon"]
    continuation: Float[Array, "*batch horizon"]
    log_prob: Float[Array, "*batch horizon"]
    saturation: Float[Array, "*batch horizon"]

    @property
    def end(self) -> Latent:
        """The last state."""
        return jax.tree.map(lambda x: x[..., -1, :], self.latents)


def dream(
    model: WorldModel,
    actor: BoundedLatentPolicy,
    start: Latent,
    horizon: int,
    *,
    support: Scalar | None,
    stop_box_gradient: bool,
    members: Int[Array, "horizon"] | None = None,
    key: PRNGKeyArray,
) -> Dream:
    """Follow `actor` through the model for `horizon` actions from one state.

    The actor moves in boxes of half width `support` · sigma (None: anywhere).  With
    `stop_box_gradient` no gradient passes through the center and the width of the
    boxes: the actor may not seek states for the sake of their boxes.  `members` of an
    ensemble of priors draw the states, one a step (see `RSSM.prior`).
    """
    k_noise, k_policy = jax.random.split(key)
    noise = model.rssm.states.noise(horizon, key=k_noise)
    space = model.actions.frozen()

    def choose(feature, key):
        box = space.box(feature, support)
        box = jax.lax.stop_gradient(box) if stop_box_gradient else box
        latent, log_prob = actor.sample_with_log_prob(feature, box, key=key)
        u = latent if box is None else (latent - box.center) / box.half_width
        saturation = jnp.mean(jnp.abs(u) > SATURATED, dtype=jnp.float32)
        return space.decode(feature, latent), (log_prob, saturation)

    keys = jax.random.split(k_policy, horizon)
    latents, (log_prob, saturation) = model.rssm.imagine(start, choose, keys, noise, members)
    see, behind = model.rssm.visible, latents.feature
    return Dream(
        features=jnp.concatenate([see(start)[None], see(latents)]),
        latents=latents,
        reward=jax.vmap(model.reward)(behind),
        continuation=jax.vmap(model.continuation)(behind),
        log_prob=log_prob,
        saturation=saturation,
    )


def dream_all(
    model: WorldModel,
    actor: BoundedLatentPolicy,
    starts: Latent,
    horizon: int,
    *,
    key: PRNGKeyArray,
    **options,
) -> Dream:
    """A dream from each of a batch of states; `options` as `dream`, one for all."""

    def one(start, key):
        return dream(model, actor, start, horizon, **options, key=key)

    return jax.vmap(one)(starts, jax.random.split(key, starts.stochastic.shape[0]))


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
