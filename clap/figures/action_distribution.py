"""Are actions from the prior where the data's actions are?  Appendix F of the C-LAP paper.

Along a stretch of one recorded episode: the data's own actions at the nearest
recorded observations of each step, beside actions decoded from samples of the
latent action prior at these observations.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from shared.datasets.windows import cut_window
from shared.models.networks import Normalizer

NEIGHBOURS = 20
"""Of every step, as in the paper."""


class ActionSamples(NamedTuple):
    """Actions of the same neighbours; leading axes = step, neighbour."""

    data: Float[np.ndarray, "step neighbour action"]
    model: Float[np.ndarray, "step neighbour action"]

    def summary(self) -> dict[str, float]:
        """How far the two lie apart.

        Returns:
            `mean_distance`, between the means of a step, and `std_data` and
            `std_model`, within a step; averaged over steps and dimensions.
        """
        distance = np.abs(self.data.mean(1) - self.model.mean(1))
        return {
            "mean_distance": float(distance.mean()),
            "std_data": float(self.data.std(1).mean()),
            "std_model": float(self.model.std(1).mean()),
        }


def nearest_rows(
    observation: Float[np.ndarray, "rows observation"],
    scale: Float[np.ndarray, "observation"],
    rows: Int[np.ndarray, "step"],
    count: int = NEIGHBOURS,
) -> Int[np.ndarray, "step count"]:
    """Row numbers of the `count` observations nearest to each of `rows`, itself among them.

    The distance is Euclidean in units of `scale`.
    """
    scaled = observation / scale
    found = []
    for row in rows:
        distance = np.sum((scaled - scaled[row]) ** 2, axis=1)
        found.append(np.argpartition(distance, count - 1)[:count])
    return np.stack(found)


def sample_actions(algorithm, state, dataset, rows: Int[np.ndarray, "n"], *, key):
    """One action of the prior at each row, in the state that the window before it leads to.

    Arguments:
        algorithm: an `AbstractDreamer` with latent actions.
        state: of one seed.
        dataset: on the device.
        rows: row numbers.
        key: of the samples of state and latent action.
    """
    model, length = state.world_model.model, algorithm.window
    space = model.actions.frozen()

    def one(dataset, row, key):
        k_state, k_prior = jax.random.split(key)
        episode = dataset.episodes.number[row]
        start = jnp.maximum(row - length + 1, dataset.episodes.first[episode])
        window = cut_window(dataset.transitions, dataset.episodes, episode, start, length).window
        observation = jax.vmap(state.normalizer)(window.observation)
        noise = model.rssm.states.noise(length, key=k_state)
        latents, _, _ = model.rssm.observe(observation, window.action, noise)
        feature = model.rssm.visible(latents)[row - start]
        return space.decode(feature, space.sample_prior(feature, key=k_prior))

    keys = jax.random.split(key, len(rows))
    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))(dataset, jnp.asarray(rows), keys)


def action_samples(algorithm, state, data, *, steps: int, seed: int = 0) -> ActionSamples:
    """The samples along `steps` rows of an episode drawn by `seed` among those long enough.

    Arguments:
        algorithm: as in `sample_actions`.
        state: of one seed.
        data: a `RowData`.
        steps: rows of the stretch; the whole episode where all are shorter.
        seed: of the episode, the place in it, and the model's samples.
    """
    generator = np.random.default_rng(seed)
    lengths = np.bincount(data.episode)
    steps = min(steps, int(lengths.max()))
    episode = generator.choice(np.flatnonzero(lengths >= steps))
    first = np.flatnonzero(data.episode == episode)[0]
    first += generator.integers(lengths[episode] - steps + 1)
    observation = data.transitions.observation
    scale = np.asarray(Normalizer.of(data.spec).scale)
    rows = nearest_rows(observation, scale, np.arange(first, first + steps))
    made = sample_actions(
        algorithm, state, data.to_device(), rows.ravel(), key=jax.random.key(seed)
    )
    recorded = data.transitions.action[rows]
    return ActionSamples(recorded, np.asarray(made).reshape(recorded.shape))
