"""Transitions between states of a world model, for critics that learn off-policy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.dreams import survival
from shared.datasets.windows import EpisodeWindow


class Rows(NamedTuple):
    """What happened at one state; leading axis = row.

    Attributes:
        feature: what the policy sees.
        action: taken there.
        reward: of it.
        continuation: probability that the episode goes on behind it.
        next_feature: the same behind it.
        weight: probability that the row is not behind the end of an episode.
    """

    feature: Float[Array, "*batch visible"]
    action: Float[Array, "*batch action"]
    reward: Float[Array, "*batch"]
    continuation: Float[Array, "*batch"]
    next_feature: Float[Array, "*batch visible"]
    weight: Float[Array, "*batch"]


def draw_recorded(
    features: Float[Array, "batch time visible"],
    batch: EpisodeWindow,
    count: int,
    *,
    key: PRNGKeyArray,
) -> Rows:
    """`count` rows out of a batch of windows with these features; none of padding."""
    window = batch.window
    whole = batch.acted[:, :-1] & batch.observed[:, 1:]
    weight = whole.astype(jnp.float32).ravel()
    pick = jax.random.choice(key, weight.size, (count,), p=weight / jnp.sum(weight))
    rows = Rows(
        features[:, :-1],
        window.action[:, :-1],
        window.reward[:, :-1],
        jnp.where(window.terminal[:, :-1], 0.0, 1.0),
        features[:, 1:],
        jnp.ones(whole.shape),
    )
    return jax.tree.map(lambda x: x[pick], flat(rows))


def rows_of_dreams(
    features: Float[Array, "batch states visible"],
    actions: Float[Array, "batch horizon action"],
    reward: Float[Array, "batch horizon"],
    continuation: Float[Array, "batch horizon"],
    count: int,
) -> Rows:
    """The first `count` rows of a batch of dreams; `features` has one state more than actions."""
    now, behind = features[:, :-1], features[:, 1:]
    rows = Rows(now, actions, reward, continuation, behind, survival(continuation))
    return jax.tree.map(lambda x: x[:count], flat(rows))


def join(first: Rows, second: Rows) -> Rows:
    """The rows of both, one behind the other."""
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y]), first, second)


def flat(rows: Rows) -> Rows:
    """One leading axis in the place of two."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)
