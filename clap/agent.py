"""What is trained in dreams: the actor and its values, and the dreams themselves."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.rssm import Latent
from clap.world_model import WorldModel
from shared.networks import MLP, selu
from shared.policies import BoundedLatentPolicy
from shared.types import Scalar

SATURATED = 0.99
"""Beyond this the bounded variable counts as sitting at the edge of its box."""


class Values(eqx.Module):
    """An ensemble of state values V_i(h, s), i = 1..size, that share no weight.

    They are learned in the units of `ValueUnits`.
    """

    members: MLP

    def __init__(
        self, feature_size: int, hidden_sizes: tuple[int, ...], size: int, *, key: PRNGKeyArray
    ):
        def make(k):
            return MLP(feature_size, 1, hidden_sizes, activation=selu, key=k)

        self.members = eqx.filter_vmap(make)(jax.random.split(key, size))

    def __call__(self, feature: Float[Array, "feature"]) -> Float[Array, "size"]:
        return eqx.filter_vmap(lambda member: member(feature)[0])(self.members)


class ValueUnits(NamedTuple):
    """V = offset + scale · output within `range`; set from the data, never trained.

    Attributes:
        offset, scale: of values, in units of reward.
        range: lowest and highest value there can be.
        reward_range: the same of a single reward.
    """

    offset: Float[Array, ""]
    scale: Float[Array, ""]
    range: Float[Array, "2"]
    reward_range: Float[Array, "2"]

    @classmethod
    def raw(cls) -> "ValueUnits":
        """Units of reward, without bounds."""
        anything = jnp.asarray([-jnp.inf, jnp.inf], jnp.float32)
        return cls(jnp.zeros(()), jnp.ones(()), anything, anything)

    def value(self, values: Values, feature: Float[Array, "feature"]) -> Float[Array, ""]:
        """The smallest member's value, in units of reward."""
        raw = self.offset + self.scale * jnp.min(values(feature))
        return jnp.clip(raw, *self.range)

    def output(self, value: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """The output that stands for a value."""
        return (value - self.offset) / self.scale


class Agent(NamedTuple):
    """The two things that dreams train."""

    actor: BoundedLatentPolicy
    values: Values


class Dream(NamedTuple):
    """One imagined rollout; leading axis = horizon but where noted.

    Attributes:
        features: `horizon` + 1 of them, the first is where the dream began.
        end: the last state.
        reward: mean reward of each action.
        continuation: probability that the episode goes on behind each action.
        log_prob: of the bounded variable, in nats.
        saturation: share of dimensions at the edge of the box.
    """

    features: Float[Array, "*batch states feature"]
    end: Latent
    reward: Float[Array, "*batch horizon"]
    continuation: Float[Array, "*batch horizon"]
    log_prob: Float[Array, "*batch horizon"]
    saturation: Float[Array, "*batch horizon"]


def dream(
    model: WorldModel,
    actor: BoundedLatentPolicy,
    start: Latent,
    horizon: int,
    *,
    support: Scalar | None,
    stop_box_gradient: bool,
    key: PRNGKeyArray,
) -> Dream:
    """Follow `actor` through the model for `horizon` actions from one state.

    The actor moves in boxes of half width `support` · sigma (None: anywhere).  With
    `stop_box_gradient` no gradient passes through the center and the width of the
    boxes: the actor may not seek states for the sake of their boxes.
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
    latents, (log_prob, saturation) = model.rssm.imagine(start, choose, keys, noise)
    see, behind = model.rssm.visible, latents.feature
    return Dream(
        features=jnp.concatenate([see(start)[None], see(latents)]),
        end=jax.tree.map(lambda x: x[-1], latents),
        reward=jax.vmap(model.reward)(behind),
        continuation=jax.vmap(model.continuation)(behind),
        log_prob=log_prob,
        saturation=saturation,
    )


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
