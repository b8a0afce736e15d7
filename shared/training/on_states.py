"""An algorithm on the states of a world model that another run has trained.

The algorithm itself knows nothing of it.  Its observations are states of the frozen model, the
likeliest ones, inferred once along whole episodes (`Phase.view`) and standardised; what it learns
are transitions between them.  Acting, the model filters what it is shown, and the policy acts on
the state.  So any method that learns from rows learns on the model's features, from pixels too.
"""

import dataclasses
from types import SimpleNamespace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from shared.algorithm import AbstractAlgorithm, Memory, Phase
from shared.datasets.frame_rows import FrameRows
from shared.models.networks import Normalizer
from shared.types import Spec


class StatesState(NamedTuple):
    """What `OnStates` remembers.

    Attributes:
        model: the fields of the other run's state that make up its model.
        normalizer: of the model's states.
        member: the state of the algorithm.
    """

    model: dict[str, PyTree]
    normalizer: Normalizer
    member: PyTree


class Filtering(NamedTuple):
    """The memories of the model and of the algorithm."""

    model: Memory
    member: Memory


class OnStates(AbstractAlgorithm):
    """Any algorithm of rows, on the states of `model`, an algorithm that perceives."""

    algorithm: AbstractAlgorithm = eqx.field(static=True)
    model: AbstractAlgorithm = eqx.field(static=True)

    def init(self, spec, *, key):
        k_model, k_member = jax.random.split(key)
        part = self.model.reusable
        assert part is not None, "a model that perceives can be taken over"
        whole = self.model.init(spec, key=k_model)
        model = {name: getattr(whole, name) for name in part.fields}
        blank = jnp.zeros(spec.observation_shape, jnp.uint8 if spec.is_pixels else jnp.float32)
        blank = jnp.zeros_like(self._perceive(model, self._begin(model), blank)[0])
        seen = Spec(blank.shape, spec.action_size, blank, blank + 1, spec.return_range)
        member = self.algorithm.init(seen, key=k_member)
        return StatesState(model, Normalizer(blank, blank + 1), member)

    def phases(self):
        return tuple(map(self._phase, self.algorithm.phases()))

    def schedules(self):
        return self.algorithm.schedules()

    def remarks(self, data):
        return self.algorithm.remarks(data)

    def initial_memory(self, state):
        return Filtering(self._begin(state.model), self.algorithm.initial_memory(state.member))

    def rewarded(self, memory, reward):
        return memory._replace(member=self.algorithm.rewarded(memory.member, reward))

    def took(self, memory, action):
        taken = self.model.took(memory.model, action), self.algorithm.took(memory.member, action)
        return Filtering(*taken)

    def act(self, state, memory, observation, *, key):
        feature, model = self._perceive(state.model, memory.model, observation)
        s = state.normalizer(feature)
        action, member = self.algorithm.act(state.member, memory.member, s, key=key)
        return action, Filtering(self.model.took(model, action), member)

    def recall(self, state: StatesState, episodes: Any) -> Array:
        """The model's states along whole episodes."""
        return self.model.recall(SimpleNamespace(**state.model), episodes)

    def _begin(self, model: dict[str, PyTree]) -> Memory:
        return self.model.initial_memory(SimpleNamespace(**model))

    def _perceive(self, model: dict[str, PyTree], memory: Memory, observation):
        return self.model.perceive(SimpleNamespace(**model), memory, observation, key=None)

    def _phase(self, phase: Phase) -> Phase:
        """The same phase on the model's states."""

        def shown(dataset, state=None):
            """The rows that the algorithm sees, standardised in all but a draw."""
            encode = None if state is None else eqx.filter_vmap(state.normalizer)
            return FrameRows(dataset, 1, encode)

        def draw(dataset, *, key):
            return phase.draw(shown(dataset), key=key)

        def update(state, batch, **more):
            standard = jax.vmap(state.normalizer)
            observation, following = map(standard, (batch.observation, batch.next_observation))
            batch = batch._replace(observation=observation, next_observation=following)
            member, metrics = phase.update(state.member, batch, **more)
            return state._replace(member=member), metrics

        def refresh(state, dataset, *, key):
            assert phase.refresh is not None
            member, metrics = phase.refresh(state.member, shown(dataset, state), key=key)
            return state._replace(member=member), metrics

        def start(state, dataset, *, key):
            """The statistics of all states, and what the phase itself begins with."""
            states = dataset.observation
            normalizer = Normalizer(jnp.mean(states, axis=0), jnp.std(states, axis=0))
            state = state._replace(normalizer=normalizer)
            if phase.start is None:
                return state
            member = phase.start(state.member, shown(dataset, state), key=key)
            return state._replace(member=member)

        def finish(state, dataset, *, key):
            assert phase.finish is not None
            member = phase.finish(state.member, shown(dataset, state), key=key)
            return state._replace(member=member)

        return dataclasses.replace(
            phase,
            draw=draw,
            update=update,
            refresh=None if phase.refresh is None else refresh,
            start=start,
            finish=None if phase.finish is None else finish,
            shows=None,  # its scores would cost more frames than they tell
            view=self.recall,
        )
