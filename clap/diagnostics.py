"""What a model and an agent are judged by while they train, on held-out episodes.

Of a model: its loss, its actions, predictions from actions alone, and whether it knows the ends
of episodes.  Of an agent: what it believes at the starts of episodes beside what the data
earned, and how far from the data its dreams end.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.dreams import draw_starts
from clap.model.states import Latent
from clap.model.world_model import WorldModel, normalized
from clap.returns import data_returns
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import Metrics
from shared.types import Scalar

Value = Callable[[Float[Array, "visible"]], Float[Array, ""]]
"""Of a state of the model, in units of reward."""
OPEN_LOOP_STEPS = (1, 5, 10, 20)
VISITED, KNOWN = 256, 2048
"""States at the ends of dreams, and recorded ones that they are compared with."""


def masked_mean(value, mask):
    """Mean over true entries; zero if there is none."""
    return jnp.sum(jnp.where(mask, value, 0.0)) / jnp.maximum(jnp.sum(mask, dtype=jnp.float32), 1.0)


def action_errors(model: WorldModel, features, batch: EpisodeWindow, *, key) -> Metrics:
    """Mean absolute error of actions decoded from posterior mean, prior sample and prior mean."""
    space = model.actions.frozen()
    if not space.models_actions:
        return {}

    def errors(feature, action, key):
        latents = {
            "posterior": space.encode(feature, action),
            "prior_sample": space.sample_prior(feature, key=key),
            "prior_mean": space.sample_prior(feature, key=None),
        }
        return {
            name: jnp.mean(jnp.abs(space.decode(feature, u) - action))
            for name, u in latents.items()
        }

    keys = jax.random.split(key, batch.acted.shape)
    found = jax.vmap(jax.vmap(errors))(features, batch.window.action, keys)
    return {f"action_error_{k}": masked_mean(v, batch.acted) for k, v in found.items()}


def open_loop_errors(model: WorldModel, latents, batch: EpisodeWindow) -> Metrics:
    """Squared errors of observations (a dimension) and rewards, from recorded actions alone.

    Prediction starts in the middle of every window from its posterior state and
    uses the likeliest states of the prior.
    """
    middle = batch.observed.shape[1] // 2

    def predict(latent, action):
        zero = jnp.zeros((action.shape[0], latent.stochastic.size))
        states, _ = model.rssm.imagine(latent, lambda _, a: (a, None), action, zero)
        seen = jax.vmap(model.observation_decoder)(model.rssm.visible(states))
        return seen, jax.vmap(model.reward)(states.feature)

    first, window = jax.tree.map(lambda x: x[:, middle], latents), batch.window
    seen, reward = jax.vmap(predict)(first, window.action[:, middle:-1])
    error = (seen - window.observation[:, middle + 1 :]) ** 2
    error = jnp.mean(error, axis=tuple(range(2, error.ndim)))
    errors = {"open_loop_error": (error, batch.observed[:, middle + 1 :])}
    earned = (reward - window.reward[:, middle:-1]) ** 2
    errors["open_loop_reward_error"] = (earned, batch.acted[:, middle:-1])
    return {
        f"{name}_{n}": masked_mean(error[:, n - 1], real[:, n - 1])
        for name, (error, real) in errors.items()
        for n in OPEN_LOOP_STEPS
        if n <= error.shape[1]
    }


def continue_calibration(model: WorldModel, features, batch: EpisodeWindow) -> Metrics:
    """Mean predicted probability of going on, behind fatal and behind other actions."""
    predicted = jax.vmap(jax.vmap(model.continuation))(features[:, 1:])
    acted, terminal = batch.acted[:, :-1], batch.window.terminal[:, :-1]
    return {
        "continue_at_terminal": masked_mean(predicted, acted & terminal),
        "continue_elsewhere": masked_mean(predicted, acted & ~terminal),
        "terminal_steps": jnp.sum(acted & terminal, dtype=jnp.float32),
    }


def judge_model(
    model: WorldModel, batch: EpisodeWindow, *, key: PRNGKeyArray, **options
) -> Metrics:
    """All of the above and the ELBO's terms on held-out windows; `options` as `elbo_terms`."""
    k_loss, k_states, k_actions = jax.random.split(key, 3)
    _, terms = model.loss(batch, key=k_loss, **options)
    latents = model.states(batch, key=k_states)
    metrics = {f"validation_{name}": value for name, value in terms.items()}
    metrics |= action_errors(model, model.rssm.visible(latents), batch, key=k_actions)
    metrics |= open_loop_errors(model, latents, batch)
    return metrics | continue_calibration(model, latents.feature, batch)


def look_at_agent(
    state,
    dataset,
    *,
    value: Value,
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
        value: of the agent.
        draw: `(dataset, *, key) -> windows` at whose states dreams begin.
        ends: `(starts, *, key) -> latents`, the last states of dreams.
        episodes: number of starts looked at.
        discount: of the data's returns.
        remembered: `dataset` holds states of the model (their `feature`), not observations.
        key: draws all of it.
    """
    k_draw, k_first, k_distance = jax.random.split(key, 3)
    first, model = dataset.episodes.first, state.world_model.model
    pick = jax.random.randint(k_draw, (episodes,), 0, first.shape[0])
    seen = dataset.observations_at(first[pick])
    if remembered:
        latents = model.rssm.split(seen)
    else:
        latents = first_states(model, jax.vmap(state.normalizer)(seen), key=k_first)
    # The place where overestimation shows.
    found = jax.vmap(value)(model.rssm.visible(latents))
    returns = data_returns(dataset, discount)
    metrics = {"value_at_starts": jnp.mean(found), "value_at_starts_max": jnp.max(found)}
    metrics |= {"data_at_starts": returns.at_starts, "data_best": returns.best}
    if dataset.observation.ndim > 2:  # distances between pictures tell nothing
        return metrics
    options = {"draw": draw, "ends": ends, "remembered": remembered, "key": k_distance}
    return metrics | dream_distances(state, dataset, **options)


def first_states(model: WorldModel, observations, *, key: PRNGKeyArray) -> Latent:
    """States at the first observations of episodes."""
    core = model.rssm
    nothing = jnp.zeros(core.from_action.in_features)

    def one(observation, key):
        return core.filter(core.initial(), nothing, observation, core.states.noise(key=key))

    return jax.vmap(one)(observations, jax.random.split(key, len(observations)))


def dream_distances(
    state, dataset, *, draw: Callable, ends: Callable[..., Latent], remembered: bool, key
) -> Metrics:
    """`judge_distance` of the ends of dreams; arguments as of `look_at_agent`.

    Distances are between observations as the model decodes them, or between remembered states,
    each number in deviations of the recorded ones.
    """
    k_known, k_own, k_draw, k_states, k_starts, k_dreams = jax.random.split(key, 6)
    model, core = state.world_model.model, state.world_model.model.rssm
    known = dataset.draw_training_windows(KNOWN, 1, key=k_known)
    own = dataset.draw_validation_windows(VISITED, 1, key=k_own)
    batch = draw(dataset, key=k_draw)
    if remembered:
        latents = core.split(batch.window.observation)
    else:
        known, own, batch = (normalized(state.normalizer, x) for x in (known, own, batch))
        latents = model.states(batch, key=k_states)
    starts = draw_starts(latents, batch, VISITED, key=k_starts)
    reached = core.visible(ends(starts, key=k_dreams))
    known, own = known.window.observation[:, 0], own.window.observation[:, 0]
    if not remembered:
        return judge_distance(jax.vmap(model.observation_decoder)(reached), own, known)
    known, own = core.visible(core.split(known)), core.visible(core.split(own))
    scale = jnp.std(known, axis=0, keepdims=True) + 1e-3
    return judge_distance(reached / scale, own / scale, known / scale)


def judge_distance(
    reached: Float[Array, "reached observation"],
    own: Float[Array, "own observation"],
    known: Float[Array, "known observation"],
) -> Metrics:
    """How far observations lie from recorded ones, and how usual that is.

    Arguments:
        reached: to be judged, e.g. decoded at the ends of dreams.
        own: of held-out episodes, which tell what is usual.
        known: of the training episodes.

    Returns:
        Median and 99th percentile of the distance to the nearest known observation, as
        ratios to those of the data's `own`, and the share beyond the latter's percentile.
    """
    far, usual = nearest(reached, known), jnp.maximum(nearest(own, known), 1e-6)
    edge = jnp.quantile(usual, 0.99)
    return {
        "distance_median": jnp.median(far) / jnp.median(usual),
        "distance_p99": jnp.quantile(far, 0.99) / edge,
        "distance_beyond": jnp.mean(far > edge, dtype=jnp.float32),
    }


def nearest(
    points: Float[Array, "points n"], known: Float[Array, "known n"]
) -> Float[Array, "points"]:
    """Euclidean distance of every point to the nearest known one."""
    return jax.vmap(lambda point: jnp.min(jnp.linalg.norm(known - point[None], axis=-1)))(points)
