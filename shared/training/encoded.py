"""An algorithm that learns from frames: whatever it learns of vectors, it learns of their features.

The algorithm itself knows nothing of it.  Its observations are the features of stacks of frames,
and of its losses the one that it declares (`shaped_by`) also trains the encoder: in a phase whose
loss L is declared,

    features   s = encoder(random shift of the frames)
    encoder    min  L(s),  by s alone: everything else, s' too, is held
    the rest   one update of the algorithm on s and s'

A phase without such a loss finds the encoder frozen.  Then the features of all frames are computed
once (`Phase.view`), and its updates cost no convolution.

Sources: "Image Augmentation Is All You Need" (Kostrikov et al., 2020, DrQ) for the shifts; actors
that learn nothing but their own layers: "Improving Sample Efficiency in Model-Free RL from Images"
(Yarats et al., 2019, SAC-AE).
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree, UInt8

from shared.algorithm import AbstractAlgorithm, Memory, Phase, hyperparameter
from shared.datasets.frame_rows import FrameRows
from shared.models.frame_encoder import FrameEncoder, random_shift, stacked
from shared.models.learner import Learner, descend
from shared.ranges import Count, Positive, Size
from shared.types import Spec


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How frames become features; values in `configs/encoding.yaml`, an algorithm's own in its."""

    frame_stack: Size = hyperparameter("last frames that make up an observation")
    shift: Count = hyperparameter("pixels by which frames are shifted in training; 0 = none")
    cnn_depth: Size = hyperparameter("channels of the first convolution")
    cnn_patch: Size = hyperparameter("pixels a side of the patches before it; 1 = none")
    feature_size: Size | None = hyperparameter(
        "features of an observation; null = all that the last convolution gives"
    )
    encoder_learning_rate: Positive = hyperparameter("Adam step size of the encoder")


class EncodedState(NamedTuple):
    """The encoder, and the state of the algorithm."""

    encoder: Learner
    member: PyTree


class Seen(NamedTuple):
    """The last frames of an episode.

    Attributes:
        frames: oldest first along the channels.
        begun: has there been any?
        member: the memory of the algorithm.
    """

    frames: UInt8[Array, "height width colors"]
    begun: Bool[Array, ""]
    member: Memory


class Encoded(AbstractAlgorithm):
    """An algorithm with `shaped_by`, on the features of frames."""

    algorithm: AbstractAlgorithm = eqx.field(static=True)
    encoding: Encoding = eqx.field(static=True)

    def init(self, spec, *, key):
        k_encoder, k_member = jax.random.split(key)
        height, width, colors = spec.observation_shape
        shape, form = (height, width, self.encoding.frame_stack * colors), self.encoding
        sizes = form.cnn_depth, form.cnn_patch, form.feature_size
        encoder = FrameEncoder(shape, *sizes, key=k_encoder)
        blank = jnp.zeros(encoder.size)
        seen = Spec((encoder.size,), spec.action_size, blank, blank + 1, spec.return_range)
        member = self.algorithm.init(seen, key=k_member)
        return EncodedState(Learner.create(encoder, self.optimizer), member)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Of the encoder."""
        return optax.adam(self.encoding.encoder_learning_rate)

    def phases(self):
        return tuple(map(self._phase, self.algorithm.phases()))

    def schedules(self):
        return self.algorithm.schedules()

    def remarks(self, data):
        return self.algorithm.remarks(data)

    def initial_memory(self, state):
        frames = jnp.zeros(state.encoder.model.shape, jnp.uint8)
        return Seen(frames, jnp.zeros((), bool), self.algorithm.initial_memory(state.member))

    def rewarded(self, memory, reward):
        return memory._replace(member=self.algorithm.rewarded(memory.member, reward))

    def took(self, memory, action):
        return memory._replace(member=self.algorithm.took(memory.member, action))

    def act(self, state, memory, observation, *, key):
        """The action of a stack: the frames of before and this one, which is shown alone."""
        before = memory.frames[..., observation.shape[-1] :]
        later = jnp.concatenate([before, observation], axis=-1)
        first = jnp.tile(observation, (1, 1, self.encoding.frame_stack))
        frames = jnp.where(memory.begun, later, first)
        features = state.encoder.model(frames)
        action, member = self.algorithm.act(state.member, memory.member, features, key=key)
        return action, Seen(frames, jnp.ones((), bool), member)

    def encode(self, state: EncodedState, windows) -> Array:
        """The features of all frames of whole episodes, (batch, time, features)."""

        def along(frames):
            return state.encoder.model.many(stacked(frames, self.encoding.frame_stack))

        return jax.lax.map(along, windows.window.observation)

    def _phase(self, phase: Phase) -> Phase:
        """The same phase, with the encoder in it or, of vectors that it has made, behind it."""
        loss, stack = self.algorithm.shaped_by.get(phase.name), self.encoding.frame_stack

        def shown(dataset, state=None):
            """The rows that the algorithm sees: frames in a draw, their features at all else."""
            if loss is None:
                return FrameRows(dataset)
            return FrameRows(dataset, stack, None if state is None else state.encoder.model.many)

        def draw(dataset, *, key):
            return phase.draw(shown(dataset), key=key)

        def update(state, batch, **more):
            member, metrics = phase.update(state.member, batch, **more)
            return state._replace(member=member), metrics

        def refresh(state, dataset, *, key):
            assert phase.refresh is not None
            member, metrics = phase.refresh(state.member, shown(dataset, state), key=key)
            return state._replace(member=member), metrics

        def once(change):
            def changed(state, dataset, *, key):
                member = change(state.member, shown(dataset, state), key=key)
                return state._replace(member=member)

            return None if change is None else changed

        return dataclasses.replace(
            phase,
            draw=draw,
            update=update if loss is None else partial(self._shape, phase, loss),
            refresh=None if phase.refresh is None else refresh,
            start=once(phase.start),
            finish=once(phase.finish),
            shows=None,  # its scores would cost more frames than they tell
            view=self.encode if loss is None else None,
        )

    def _shape(self, phase: Phase, name: str, state: EncodedState, batch, *, key, **more: Any):
        """One update of the algorithm, and a step of the encoder down the loss of this name."""
        k_now, k_next, key = jax.random.split(key, 3)
        frames = random_shift(batch.observation, self.encoding.shift, key=k_now)
        following = random_shift(batch.next_observation, self.encoding.shift, key=k_next)
        following = jax.vmap(state.encoder.model)(following)

        def loss(encoder):
            features = jax.vmap(encoder)(frames)
            seen = batch._replace(observation=features, next_observation=following)
            member, metrics = phase.update(state.member, seen, key=key, **more)
            return metrics[name], (member, metrics)

        encoder, (member, metrics) = descend(state.encoder, self.optimizer, loss)
        return EncodedState(encoder, member), metrics
