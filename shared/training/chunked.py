"""An algorithm over chunks of actions: whatever it learns of one action, it learns of H at once.

The algorithm itself knows nothing of it.  Its action is H actions, one after another; its
rewards are discounted sums and its discount that of as many steps (`shared/datasets/chunks.py`).
Its policy's chunk is played open loop, or only the first `replan` actions of it.
"""

import dataclasses
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from shared.algorithm import AbstractAlgorithm, Memory, Phase
from shared.datasets.chunks import Chunk, ChunkedRows
from shared.errors import ConfigError, DataError
from shared.types import Transition, is_zero


class ChunkedState(NamedTuple):
    """The state of the algorithm, and an action of zeros, which says how long one is."""

    member: PyTree
    blank: Float[Array, "action"]


class Playing(NamedTuple):
    """What is left of a chunk.

    Attributes:
        member: the memory of the algorithm.
        rest: actions, the next one first; those behind `left` mean nothing.
        left: how many there are still to play.
    """

    member: Memory
    rest: Float[Array, "chunk action"]
    left: Int[Array, ""]


def chunked(algorithm: AbstractAlgorithm) -> AbstractAlgorithm:
    """The algorithm as its `chunk` and `n_step` want it; itself, if both are 1.

    Raises:
        ConfigError: it is to play more actions of a chunk than there are.
    """
    if algorithm.replan is not None and algorithm.replan > algorithm.chunk:
        raise ConfigError(
            f"replan is {algorithm.replan}, but chunk is {algorithm.chunk}; play at most all "
            "actions of a chunk."
        )
    if algorithm.chunk == 1 and algorithm.n_step == 1:
        return algorithm
    return Chunked(algorithm)


class Chunked(AbstractAlgorithm):
    """Any algorithm that draws transitions, over chunks."""

    algorithm: AbstractAlgorithm = eqx.field(static=True)

    @property
    def inner(self) -> AbstractAlgorithm:
        """The algorithm as it sees one chunk: a single action, discounted by its length."""
        outer, names = self.algorithm, {x.name for x in dataclasses.fields(self.algorithm)}
        discounts = {"discount": self.discount**self.length} if "discount" in names else {}
        return outer.changed(chunk=1, n_step=1, replan=None, **discounts)

    @property
    def length(self) -> int:
        """Steps from a transition's observation to its next one."""
        return self.algorithm.chunk * self.algorithm.n_step

    @property
    def discount(self) -> float:
        """Of one step; 1 of an algorithm that values nothing."""
        return vars(self.algorithm).get("discount", 1.0)

    @property
    def reusable(self):
        """That of the algorithm: a model of chunks serves chunks of the same length."""
        part = self.algorithm.reusable
        if part is None:
            return None
        fields = tuple(f"member.{name}" for name in part.fields)
        return part._replace(fields=fields, keys=(*part.keys, "chunk"))

    def changed(self, **values):
        if {"chunk", "n_step", "replan", "discount"} & set(values):
            raise TypeError("what is drawn depends on the value")
        return Chunked(self.algorithm.changed(**values))

    def init(self, spec, *, key):
        long = spec._replace(action_size=self.algorithm.chunk * spec.action_size)
        return ChunkedState(self.inner.init(long, key=key), jnp.zeros(spec.action_size))

    def phases(self):
        return tuple(map(self._phase, self.inner.phases()))

    def schedules(self):
        return self.algorithm.schedules()

    def remarks(self, data):
        """As of the algorithm.

        Raises:
            DataError: no episode is as long as a chunk.
        """
        ends = np.append(data.episode[1:] != data.episode[:-1], True) | data.transitions.terminal
        longest = int(np.diff(np.flatnonzero(ends), prepend=-1).max())
        if longest < self.length:
            raise DataError(
                f"{data.path}: its longest episode has {longest} steps, fewer than one draw of "
                f"chunk {self.algorithm.chunk} and n_step {self.algorithm.n_step} takes; lower one."
            )
        return self.algorithm.remarks(data)

    def learned_reward(self, state, *, online=False):
        """As of the algorithm; None where its critics judge chunks."""
        learned = self.inner.learned_reward(state.member, online=online)
        if learned is None or self.algorithm.chunk > 1:
            return None
        return learned._replace(discount=self.discount)

    def box_width(self):
        return self.inner.box_width()

    def critic_value(self, state, observation, action):
        if self.algorithm.chunk > 1:
            return super().critic_value(state, observation, action)
        return self.inner.critic_value(state.member, observation, action)

    def initial_memory(self, state):
        rest = jnp.zeros((self.algorithm.chunk, *state.blank.shape))
        return Playing(self.inner.initial_memory(state.member), rest, jnp.zeros((), jnp.int32))

    def rewarded(self, memory, reward):
        return memory._replace(member=self.inner.rewarded(memory.member, reward))

    def act(self, state, memory, observation, *, key):
        """The next action of the chunk; of a new one, where the last is played."""
        actions, member = self.inner.act(state.member, memory.member, observation, key=key)
        begun = Playing(member, actions.reshape(memory.rest.shape), self._played())
        playing = jax.tree.map(partial(jnp.where, memory.left == 0), begun, memory)
        rest = jnp.roll(playing.rest, -1, axis=0)
        return playing.rest[0], playing._replace(rest=rest, left=playing.left - 1)

    def _played(self) -> Int[Array, ""]:
        played = self.algorithm.replan or self.algorithm.chunk
        return jnp.asarray(played, jnp.int32)

    def _seen(self, dataset) -> ChunkedRows:
        return ChunkedRows(dataset, self.algorithm.chunk, self.algorithm.n_step, self.discount)

    def _phase(self, phase: Phase) -> Phase:
        """The same phase on chunks."""

        def draw(dataset, *, key):
            return phase.draw(self._seen(dataset), key=key)

        def update(state, batch, **more):
            member, metrics = phase.update(state.member, self._rewarded(state, batch), **more)
            return state._replace(member=member), metrics

        def refresh(state, dataset, *, key):
            assert phase.refresh is not None
            member, metrics = phase.refresh(state.member, self._seen(dataset), key=key)
            return state._replace(member=member), metrics

        def once(change):
            def changed(state, dataset, *, key):
                return state._replace(member=change(state.member, self._seen(dataset), key=key))

            return None if change is None else changed

        def shows(state):
            assert phase.shows is not None
            return state._replace(member=phase.shows(state.member))

        return dataclasses.replace(
            phase,
            draw=draw,
            update=update,
            refresh=None if phase.refresh is None else refresh,
            start=once(phase.start),
            finish=once(phase.finish),
            shows=None if phase.shows is None else shows,
        )

    def _rewarded(self, state: ChunkedState, batch: Chunk) -> Transition:
        """The chunks as transitions; what is added to every reward is added at every step."""
        learned, reward = self.inner.learned_reward(state.member), batch.reward
        if learned is not None and not is_zero(learned.shift):
            reward = reward + learned.shift / learned.scale * (batch.steps - 1.0)
        return Transition(*batch[:5])._replace(reward=reward)
