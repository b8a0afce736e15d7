"""What a world model sees without looking: recorded actions, or its own policy's, played blind.

The first `context` observations of a held-out window are shown to the model; from
there on it has actions alone, and uses the likeliest states.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from clap.model.world_model import normalized

GAP = 4
"""Pixels between the pictures of a film."""
SEEN, BLIND = (0, 158, 115), (213, 94, 0)
"""Color of the bar above a picture: is the model shown it or not?"""


class Prediction(NamedTuple):
    """Observations in the units of the data; leading axes = episode, time.

    Attributes:
        truth: what was recorded.
        predicted: what the model decodes.
        observed: false behind the end of an episode, where `truth` means nothing.
        reward: mean reward that the model expects of the step that led there.
        context: how many observations the model was shown.
    """

    truth: Float[np.ndarray, "episode time *observation"]
    predicted: Float[np.ndarray, "episode time *observation"]
    observed: Bool[np.ndarray, "episode time"]
    reward: Float[np.ndarray, "episode time"]
    context: int

    def errors(self) -> Float[np.ndarray, "time"]:
        """Mean squared error a number of an observation, over the episodes."""
        squares = (self.predicted - self.truth) ** 2
        error = squares.mean(axis=tuple(range(2, squares.ndim)))
        count = np.maximum(self.observed.sum(0), 1)
        return np.where(self.observed, error, 0.0).sum(0) / count


def predict(
    algorithm,
    state,
    dataset,
    *,
    episodes: int,
    context: int,
    horizon: int,
    dream: bool,
    seed: int = 0,
) -> Prediction:
    """Windows of held-out episodes, and what the model makes of them.

    Arguments:
        algorithm: an `AbstractDreamer`.
        state: of one seed.
        dataset: on the device.
        episodes: number of windows.
        context: observations shown to the model, at least 1.
        horizon: observations predicted.
        dream: the policy acts in the model; otherwise the recorded actions are played.
        seed: picks the windows.
    """
    play = jax.jit(partial(_play, algorithm, context=context, dream=dream))
    draw = partial(dataset.draw_validation_windows, episodes, context + horizon)
    batch = draw(key=jax.random.key(seed))
    predicted, reward = play(state, batch)
    truth = np.asarray(batch.window.observation, np.float32)
    observed = np.asarray(batch.observed)
    return Prediction(truth, np.asarray(predicted), observed, np.asarray(reward), context)


def _play(algorithm, state, batch, *, context: int, dream: bool):
    model = state.world_model.model

    def choose(feature, recorded):
        action = algorithm.choose(state, feature, key=None) if dream else recorded
        return action, None

    def one(window):
        observation, action = window.observation, window.action
        zero = jnp.zeros((observation.shape[0], model.rssm.initial().stochastic.size))
        seen, _, _ = model.rssm.observe(observation[:context], action[:context], zero[:context])
        last = jax.tree.map(lambda x: x[-1], seen)
        actions = action[context - 1 : -1]
        blind, _ = model.rssm.imagine(last, choose, actions, zero[context:])
        latents = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), seen, blind)
        decoded = jax.vmap(model.observation_decoder)(model.rssm.visible(latents))
        reward = jax.vmap(model.reward)(latents.feature)
        return jax.vmap(state.normalizer.inverse)(decoded), reward

    return jax.vmap(one)(normalized(state.normalizer, batch).window)


def film_of(
    prediction: Prediction, *, dream: bool, scale: int = 2
) -> UInt8[np.ndarray, "time height width 3"]:
    """A film with a column an episode: truth, prediction and difference one below another.

    A dream is shown alone, because nothing was recorded of it.  The bar on top is green
    while the model is shown the truth.
    """
    truth, predicted = prediction.truth, np.clip(prediction.predicted, 0, 255)
    difference = np.clip(127.5 + (predicted - truth) / 2, 0, 255)
    rows = [predicted] if dream else [truth, predicted, difference]
    pad = ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0))
    tiles = [np.pad(x.round().astype(np.uint8), pad, constant_values=255) for x in rows]
    column = np.concatenate(tiles, axis=2)
    film = np.concatenate(list(column), axis=2)
    bar = np.empty((len(film), GAP, *film.shape[2:]), np.uint8)
    bar[: prediction.context], bar[prediction.context :] = SEEN, BLIND
    film = np.concatenate([bar, film], axis=1)
    return film.repeat(scale, axis=1).repeat(scale, axis=2)
