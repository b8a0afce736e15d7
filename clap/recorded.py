"""What an agent learns from recorded windows, in the same latent action space as in its dreams.

    values     V(s_t) to the upper expectile of the lambda return G_t of the data's actions
    imitation  min  w_t · |a_t - decoder(u_t)|,  w_t = exp(A_t / temperature),
               u_t ~ policy in its box; `squared`: the mean square in its place

A_t is the advantage G_t - V(s_t), or the merit of the row's whole episode.

The first is IQL's value (Kostrikov et al. 2021) with lambda returns in the place of a
critic, the second CNF's loss of the actor with the data's returns as advantages.
By merit, the good episodes are cloned (a soft form of cloning the best tenth of
them): no value has to tell two actions of one state apart, which takes a horizon as
long as what the actions lead to.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.agent import Agent, ValueUnits
from clap.dreams import value_regression
from clap.model.latent_actions import AbstractModelActions
from clap.returns import episode_merit, recorded_returns
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import Metrics
from shared.models.losses import action_distance, advantage_weight
from shared.types import Scalar


class Recorded(NamedTuple):
    """A batch of recorded windows.

    Attributes:
        windows: leading axes = batch, time.
        merit: of the episode of every row (`episode_merit`), zero where there is no action;
            None if actions are judged by their advantages.
    """

    windows: EpisodeWindow
    merit: Float[Array, "batch time"] | None

    @classmethod
    def draw(
        cls, dataset, batch_size: int, length: int, *, by_episode: bool, key: PRNGKeyArray
    ) -> "Recorded":
        """`batch_size` windows of `length` observations, and their merits `by_episode`."""
        windows = dataset.draw_windows(batch_size, length, key=key)
        if not by_episode:
            return cls(windows, None)
        return cls(
            windows, dataset.along_windows(episode_merit(dataset), batch_size, length, key=key)
        )


def recorded_losses(
    agent: Agent,
    space: AbstractModelActions,
    support: Scalar | None,
    units: ValueUnits,
    value: Callable[[Float[Array, "feature"]], Float[Array, ""]],
    features: Float[Array, "batch time feature"],
    recorded: Recorded,
    *,
    expectile: Scalar,
    temperature: Scalar,
    squared: bool,
    discount: Scalar,
    lambda_: Scalar,
    key: PRNGKeyArray,
) -> tuple[Float[Array, ""], Float[Array, ""], Metrics]:
    """The two losses above, as means over the rows with an action, and metrics.

    Arguments:
        agent: what is trained.
        space: the frozen latent actions.
        support: half width of the box, see `GaussianLatentActions.box`.
        units: of the values.
        value: the value of a state in units of reward, not differentiated.
        features: what the policy sees along the windows.
        recorded: the windows; with merits, these say what is imitated.
        expectile: of the values.
        temperature: of the advantages, in the values' own units, or of the merits.
        squared: of two actions for one state the mean, not the median, is imitated.
        discount: of the returns.
        lambda_: of the returns.
        key: draws the policy's actions.
    """
    batch, merit = recorded
    v = jax.vmap(jax.vmap(value))(features)
    earn = partial(recorded_returns, discount=discount, lambda_=lambda_)
    returns = jax.vmap(earn)(batch.window.reward, batch.window.terminal, batch.acted, v)
    # A window's last row lacks what its action led to.
    weight = batch.acted.astype(jnp.float32).at[:, -1].set(0.0)
    share = jnp.maximum(jnp.mean(weight), 1e-6)
    values = value_regression(agent.values, units, features, returns, weight, expectile=expectile)

    def distance(feature, action, key):
        u = agent.actor.sample(feature, space.box(feature, support), key=key)
        return action_distance(action, space.decode(feature, u), squared=squared)

    keys = jax.random.split(key, weight.shape)
    distances = jax.vmap(jax.vmap(distance))(features, batch.window.action, keys)
    advantage = jax.lax.stop_gradient(returns - v) / units.scale if merit is None else merit
    imitation = jnp.mean(weight * advantage_weight(advantage, temperature) * distances)
    metrics = {
        "recorded_value_loss": values / share,
        "imitation_distance": jnp.mean(weight * distances) / share,
    }
    return values / share, imitation / share, metrics
