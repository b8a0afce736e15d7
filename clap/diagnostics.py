"""What a trained model and agent are judged by, on held-out episodes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.latent_actions import DirectActions
from clap.world_model import WorldModel
from shared.datasets.windows import EpisodeWindow
from shared.models.learner import Metrics

OPEN_LOOP_STEPS = (1, 5, 10, 20)


def masked_mean(value, mask):
    """Mean over true entries; zero if there is none."""
    return jnp.sum(jnp.where(mask, value, 0.0)) / jnp.maximum(jnp.sum(mask, dtype=jnp.float32), 1.0)


def action_errors(model: WorldModel, features, batch: EpisodeWindow, *, key) -> Metrics:
    """Mean absolute error of actions decoded from posterior mean, prior sample and prior mean."""
    space = model.actions.frozen()
    if isinstance(space, DirectActions):
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
    """Squared error a dimension of observations predicted from recorded actions alone.

    Prediction starts in the middle of every window from its posterior state and
    uses the likeliest states of the prior.
    """
    middle = batch.observed.shape[1] // 2

    def predict(latent, action):
        zero = jnp.zeros((action.shape[0], latent.stochastic.size))
        states, _ = model.rssm.imagine(latent, lambda _, a: (a, None), action, zero)
        return jax.vmap(model.observation_decoder)(model.rssm.visible(states))

    first = jax.tree.map(lambda x: x[:, middle], latents)
    predicted = jax.vmap(predict)(first, batch.window.action[:, middle:-1])
    error = (predicted - batch.window.observation[:, middle + 1 :]) ** 2
    error = jnp.mean(error, axis=tuple(range(2, error.ndim)))
    real = batch.observed[:, middle + 1 :]
    return {
        f"open_loop_error_{n}": masked_mean(error[:, n - 1], real[:, n - 1])
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


def judge_values(
    model: WorldModel,
    value: Callable[[Float[Array, "visible"]], Float[Array, ""]],
    observations,
    *,
    key: PRNGKeyArray,
) -> Metrics:
    """Values at the first observations of episodes: the place where overestimation shows."""

    def judge(observation, key):
        core = model.rssm
        start = core.initial()
        noise = core.states.noise(key=key)
        nothing = jnp.zeros(core.from_action.in_features)
        latent = core.filter(start, nothing, observation, noise)
        return value(core.visible(latent))

    return tell_values(jax.vmap(judge)(observations, jax.random.split(key, len(observations))))


def tell_values(found: Float[Array, "starts"]) -> Metrics:
    """Mean and maximum of values at the starts of episodes."""
    return {"value_at_starts": jnp.mean(found), "value_at_starts_max": jnp.max(found)}


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
