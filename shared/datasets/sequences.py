"""Windows of frames, cut on the device: uint8 pictures stay uint8 until a model wants them.

The twin of `TransitionDataset.draw_windows` for data that is kept as frames: an
episode of L actions is L + 1 frames, each stored once.  The same key draws the same
windows from either form (tested).  No window crosses an episode; the last frame of an
episode is observed but has no action, and what follows it is padding.
"""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from shared.datasets.frames import Frames
from shared.datasets.rows import TransitionDataset, held_out
from shared.datasets.weighting import EpisodeReturns, Weights, episode_returns
from shared.datasets.windows import EpisodeRows, EpisodeWindow, episode_rows
from shared.types import Scalar, Window


class Places(eqx.Module):
    """Where windows may lie, and everything of a frame that is small.

    Attributes:
        action: taken at the frame; leading axis = frames, as of the next two.
        reward: what it earned.
        terminal: did it end the episode for good?
        episodes: which frames make up which episode.
        acted: frame numbers with an action, of all episodes, ascending.
        training: those of the training episodes.
        validation: those of the held-out episodes (may be empty).
        ranked: those of all episodes, of the one with the highest return first.
        returns: what every episode earned, and how the draws are weighted by it.
    """

    action: Float[Array, "frames action"]
    reward: Float[Array, "frames"]
    terminal: Bool[Array, "frames"]
    episodes: EpisodeRows
    acted: Int[Array, "acted"]
    training: Int[Array, "training"]
    validation: Int[Array, "validation"]
    ranked: Int[Array, "acted"]
    returns: EpisodeReturns

    def draw(
        self,
        among: Int[Array, "some_acted"],
        batch_size: int,
        length: int,
        *,
        key: PRNGKeyArray,
        weights: Weights | None = None,
    ) -> tuple[Int[Array, "batch"], Int[Array, "batch"]]:
        """First frames of windows laid around frames of `among`, and their episodes.

        The frames are drawn by their `weights`, if there are any.
        """
        k_row, k_offset = jax.random.split(key)
        if weights is not None:
            row = weights.pick(batch_size, key=k_row)
        else:
            row = among[jax.random.randint(k_row, (batch_size,), 0, among.shape[0])]
        offset = jax.random.randint(k_offset, (batch_size,), 0, length)
        episode = self.episodes.number[row]
        first, last = self.episodes.first[episode], self.episodes.last[episode]
        return jnp.clip(row - offset, first, jnp.maximum(first, last + 1 - length)), episode

    def frame_numbers(
        self, start: Int[Array, ""], episode: Int[Array, ""], length: int
    ) -> Int[Array, "length"]:
        """The frames of one window; padding repeats the last frame of its episode."""
        return jnp.minimum(start + jnp.arange(length), self.episodes.last[episode])

    def cut(
        self,
        observation: Shaped[Array, "length *observation"],
        start: Int[Array, ""],
        episode: Int[Array, ""],
    ) -> EpisodeWindow:
        """One window of these observations, which are those at its `frame_numbers`."""
        place = start + jnp.arange(len(observation))
        last = self.episodes.last[episode]
        row, acted = jnp.minimum(place, last), place < last
        window = Window(
            observation=observation,
            action=jnp.where(acted[:, None], self.action[row], 0.0),
            reward=jnp.where(acted, self.reward[row], 0.0),
            terminal=acted & self.terminal[row],
            is_first=place == self.episodes.first[episode],
        )
        return EpisodeWindow(window, place <= last, acted)


class SequenceDataset(eqx.Module):
    """Frames on the device; always an *argument* of compiled functions.

    Attributes:
        observation: pictures (uint8, channels last) or states; leading axis = frames.
        places: actions, rewards, and where windows may lie.
    """

    observation: Array
    places: Places

    @property
    def episodes(self) -> EpisodeRows:
        """Which frames make up which episode."""
        return self.places.episodes

    @property
    def reward(self) -> Float[Array, "frames"]:
        """Of every frame; zero where there is no action."""
        return self.places.reward

    @property
    def terminal(self) -> Bool[Array, "frames"]:
        """Of every frame; false where there is no action."""
        return self.places.terminal

    @property
    def acted(self) -> Bool[Array, "frames"]:
        """Which frames have an action: all but the last of every episode."""
        return jnp.ones(self.reward.shape, bool).at[self.episodes.last].set(False)

    def observations_at(self, number: Int[Array, "*n"]) -> Shaped[Array, "..."]:
        """Those of these frame numbers; leading axes as of `number`."""
        return self.observation[number]

    def weighted(self, temperature: Scalar | None):
        """As of `TransitionDataset`."""
        returns = self.places.returns._replace(temperature=temperature)
        return dataclasses.replace(self, places=dataclasses.replace(self.places, returns=returns))

    def draw_windows(self, batch_size: int, length: int, *, key: PRNGKeyArray) -> EpisodeWindow:
        """`batch_size` windows of `length` frames, from *all* episodes."""
        places = self.places
        return self._draw(places.acted, batch_size, length, key=key, weights=places.returns.weights)

    def along_windows(
        self, values: Float[Array, "frames"], batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> Float[Array, "batch length"]:
        """`values` of the frames along the windows that `draw_windows` draws with this key.

        Zero where there is no action.
        """
        places = self.places
        start, episode = places.draw(
            places.acted, batch_size, length, key=key, weights=places.returns.weights
        )
        frame = start[:, None] + jnp.arange(length)[None]
        last = self.episodes.last[episode][:, None]
        return jnp.where(frame < last, values[jnp.minimum(frame, last)], 0.0)

    def draw_training_windows(
        self, batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> EpisodeWindow:
        """The same from the training episodes."""
        among, weights = self.places.training, self.places.returns.training_weights
        return self._draw(among, batch_size, length, key=key, weights=weights)

    def draw_validation_windows(
        self, batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> EpisodeWindow:
        """The same from the held-out episodes; from all, if none is held out."""
        held = self.places.validation
        return self._draw(held if held.shape[0] else self.places.acted, batch_size, length, key=key)

    def _draw(self, among, batch_size: int, length: int, *, key, weights=None) -> EpisodeWindow:
        places = self.places.draw(among, batch_size, length, key=key, weights=weights)
        return self.windows_at(*places, length)

    def windows_at(
        self, start: Int[Array, "batch"], episode: Int[Array, "batch"], length: int
    ) -> EpisodeWindow:
        """The windows of these episodes that begin at these frames."""
        number = jax.vmap(partial(self.places.frame_numbers, length=length))(start, episode)
        return jax.vmap(self.places.cut)(self.observations_at(number), start, episode)


def make_places(frames: Frames, *, validation_fraction: float = 0.1, seed: int = 0) -> Places:
    """The small parts of the frames on the device; whole episodes are held out.

    Arguments:
        frames: of whole episodes.
        validation_fraction: share of *episodes* held out; none, if there is only one.
        seed: fixes which.
    """
    acted = np.flatnonzero(frames.acted)
    held = held_out(np.unique(frames.episode), validation_fraction, seed)
    is_held = np.isin(frames.episode[acted], held)
    ranked = acted[np.argsort(-frames.episode_returns[frames.episode[acted]], kind="stable")]
    numbers = (acted, acted[~is_held], acted[is_held], ranked)
    ends = ~frames.acted[acted + 1] | frames.terminal[acted]
    returns = episode_returns(acted, frames.reward[acted], ends, is_held)
    return Places(
        jnp.asarray(frames.action),
        jnp.asarray(frames.reward),
        jnp.asarray(frames.terminal),
        episode_rows(frames.episode),
        *(jnp.asarray(x, jnp.int32) for x in numbers),
        returns,
    )


def to_sequences(dataset):
    """The same episodes, frame by frame; what is kept as frames already is returned as it is."""
    if not isinstance(dataset, TransitionDataset):
        return dataset
    rows, (number, first, last) = dataset.transitions, dataset.episodes
    own = jnp.arange(number.shape[0]) + number  # an episode has one frame more than rows
    final = last + jnp.arange(last.shape[0]) + 1

    def spread(values):
        return (
            jnp.zeros((own.size + final.size, *values.shape[1:]), values.dtype).at[own].set(values)
        )

    episodes = EpisodeRows(spread(number).at[final].set(number[last]), first + number[first], final)
    places = Places(
        spread(rows.action),
        spread(rows.reward),
        spread(rows.terminal),
        episodes,
        own,
        own[dataset.training_rows],
        own[dataset.validation_rows],
        own[dataset.ranked_rows],
        dataset.returns._replace(first=own[dataset.returns.first]),
    )
    observation = spread(rows.observation).at[final].set(rows.next_observation[last])
    return SequenceDataset(observation, places)
