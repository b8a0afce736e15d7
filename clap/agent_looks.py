"""A look at an agent while it trains: what it believes, and where its dreams end."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.diagnostics import judge_distance, judge_values, tell_values
from clap.dreamer import normalized
from clap.returns import data_returns
from clap.rssm import Latent
from clap.starts import draw_starts
from shared.models.learner import Metrics
from shared.types import Scalar

VISITED, KNOWN = 256, 2048
"""States at the ends of dreams, and recorded ones that they are compared with."""


def look_at_agent(
    state,
    dataset,
    *,
    value: Callable[[Float[Array, "visible"]], Float[Array, ""]],
    draw: Callable,
    ends: Callable[..., Latent],
    episodes: int,
    discount: Scalar,
    remembered: bool = False,
    key: PRNGKeyArray,
) -> Metrics:
    """Values at the starts of episodes beside what the data earned, and where dreams end.

    Arguments:
        state: with `normalizer` and `world_model`.
        dataset: on the device.
        value: the value of a state of the model, in units of reward.
        draw: `(dataset, *, key) -> windows` at whose states dreams begin.
        ends: `(starts, *, key) -> latents`, the last states of dreams.
        episodes: number of starts looked at.
        discount: of the data's returns.
        remembered: `dataset` holds states of the model (their `feature`), not observations.
        key: draws all of it.
    """
    k_draw, k_judge, k_distance = jax.random.split(key, 3)
    first = dataset.episodes.first
    pick = jax.random.randint(k_draw, (episodes,), 0, first.shape[0])
    seen, model = dataset.observations_at(first[pick]), state.world_model.model
    if remembered:
        metrics = tell_values(jax.vmap(value)(model.rssm.visible(model.rssm.split(seen))))
    else:
        metrics = judge_values(model, value, jax.vmap(state.normalizer)(seen), key=k_judge)
    returns = data_returns(dataset, discount)
    metrics |= {"data_at_starts": returns.at_starts, "data_best": returns.best}
    distance = distance_of_states if remembered else distance_from_data
    return metrics | distance(state, dataset, draw=draw, ends=ends, key=k_distance)


def distance_from_data(
    state, dataset, *, draw: Callable, ends: Callable[..., Latent], key: PRNGKeyArray
) -> Metrics:
    """Of states that the policy reaches in dreams; see `judge_distance`.  Not of pictures."""
    if dataset.observation.ndim > 2:
        return {}
    k_known, k_own, k_draw, k_states, k_starts, k_dreams = jax.random.split(key, 6)
    model = state.world_model.model
    known = normalized(state.normalizer, dataset.draw_training_windows(KNOWN, 1, key=k_known))
    own = normalized(state.normalizer, dataset.draw_validation_windows(VISITED, 1, key=k_own))
    batch = normalized(state.normalizer, draw(dataset, key=k_draw))
    starts = draw_starts(model.states(batch, key=k_states), batch, VISITED, key=k_starts)
    last = model.rssm.visible(ends(starts, key=k_dreams))
    reached = jax.vmap(model.observation_decoder)(last)
    return judge_distance(reached, own.window.observation[:, 0], known.window.observation[:, 0])


def distance_of_states(
    state, dataset, *, draw: Callable, ends: Callable[..., Latent], key: PRNGKeyArray
) -> Metrics:
    """The same between states of the model, each number in deviations of the recorded ones."""
    k_known, k_own, k_draw, k_starts, k_dreams = jax.random.split(key, 5)
    core = state.world_model.model.rssm
    known, own = (
        core.visible(core.split(windows.window.observation[:, 0]))
        for windows in (
            dataset.draw_training_windows(KNOWN, 1, key=k_known),
            dataset.draw_validation_windows(VISITED, 1, key=k_own),
        )
    )
    batch = draw(dataset, key=k_draw)
    latents = core.split(batch.window.observation)
    starts = draw_starts(latents, batch, VISITED, key=k_starts)
    reached = core.visible(ends(starts, key=k_dreams))
    scale = jnp.std(known, axis=0, keepdims=True) + 1e-3
    return judge_distance(*(x / scale for x in (reached, own, known)))
