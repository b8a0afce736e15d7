"""What is trained in dreams: the actor and its values, and the dreams themselves."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from clap.initialise import initialise
from clap.returns import data_returns
from clap.rssm import Latent
from clap.world_model import WorldModel
from shared.models.networks import MLP, selu
from shared.models.policies import BoundedLatentPolicy
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

    @classmethod
    def of_data(cls, dataset, discount: Scalar, *, scaled: bool, bounded: bool) -> "ValueUnits":
        """Units in which the data's own returns are standardised, and bounds that they keep.

        Arguments:
            dataset: with `reward`, `acted` and `episodes` of its rows.
            discount: of the returns.
            scaled: raw units otherwise.
            bounded: no bounds otherwise.
        """
        returns, units = data_returns(dataset, discount), cls.raw()
        if scaled:
            units = units._replace(offset=returns.mean, scale=returns.std + 1e-3)
        if bounded:
            reward, acted = dataset.reward, dataset.acted
            lowest = jnp.min(reward, where=acted, initial=jnp.inf)
            highest = jnp.max(reward, where=acted, initial=-jnp.inf)
            units = units._replace(
                range=jnp.stack([returns.worst, returns.best]),
                reward_range=jnp.stack([lowest, highest]),
            )
        return units

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

    @classmethod
    def create(
        cls,
        feature_size: int,
        latent_size: int,
        actor_sizes: tuple[int, ...],
        value_sizes: tuple[int, ...],
        value_members: int,
        *,
        key: PRNGKeyArray,
    ) -> "Agent":
        """A fresh one, of an actor and `value_members` values with these hidden layers."""

        def make(*, key):
            k_actor, k_values = jax.random.split(key)
            return cls(
                BoundedLatentPolicy(feature_size, latent_size, actor_sizes, key=k_actor),
                Values(feature_size, value_sizes, value_members, key=k_values),
            )

        return initialise(make, key=key)


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
