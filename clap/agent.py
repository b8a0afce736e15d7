"""What is trained in dreams: an actor, and values in the units and bounds of the data."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from clap.returns import data_returns
from shared.models.learner import clipped_adam, initialise
from shared.models.networks import MLP, selu
from shared.models.policies import BoundedLatentPolicy
from shared.types import Scalar


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
        unseen: int = 0,
        key: PRNGKeyArray,
    ) -> "Agent":
        """A fresh one, of an actor and `value_members` values with these hidden layers.

        The actor does not see the first `unseen` numbers of a feature.
        """

        def make(*, key):
            k_actor, k_values = jax.random.split(key)
            return cls(
                BoundedLatentPolicy(
                    feature_size - unseen, latent_size, actor_sizes, unseen=unseen, key=k_actor
                ),
                Values(feature_size, value_sizes, value_members, key=k_values),
            )

        return initialise(make, key=key)


def agent_adam(
    clip: Scalar, learning_rate: Scalar, steps: int | None = None
) -> optax.GradientTransformation:
    """`clipped_adam` for an `Agent`, whose actor and values are clipped apart."""
    part = clipped_adam(clip, learning_rate, steps)
    return optax.partition({"actor": part, "values": part}, Agent("actor", "values"))
