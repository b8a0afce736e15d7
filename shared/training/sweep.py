"""A sweep: one algorithm with several values of its float hyperparameters, side by side.

A hyperparameter is a static part of a program, so every value of it would make
a program of its own.  Here the values are part of the *state*: the members of a
sweep are trained by one program, vmapped like seeds.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from shared.algorithm import AbstractAlgorithm, Phase
from shared.datasets.pages import MappedSequences


class SweptState(NamedTuple):
    """The swept values of one member, in the order of `Sweep.names`, and its own state."""

    values: Float[Array, "*batch names"]
    member: PyTree


class Sweep(AbstractAlgorithm):
    """An algorithm whose hyperparameters `names` are read from the state.

    What a phase draws may not depend on them, and nothing may branch on them.
    The states of `init` hold zeros; whoever trains them puts the values in.
    """

    algorithm: AbstractAlgorithm = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def init(self, spec, *, key):
        member = self.at(jnp.zeros(len(self.names))).init(spec, key=key)
        return SweptState(jnp.zeros(len(self.names)), member)

    def at(self, values: Float[Array, "names"] | Sequence) -> AbstractAlgorithm:
        """The algorithm at these (traced) values."""
        return self.algorithm.changed(**{name: values[i] for i, name in enumerate(self.names)})

    def draws_by_values(self, dataset) -> bool:
        """Does a phase draw its batches by one of the `names`, which this program cannot?"""
        shown = dataset.blank if isinstance(dataset, MappedSequences) else dataset
        # Nothing can be computed with these values, so that whoever tries is found out.
        member = self.at([object() for _ in self.names])
        try:
            for phase in member.phases():
                jax.eval_shape(partial(phase.draw, key=jax.random.key(0)), shown)
        except TypeError:
            return True
        return False

    def phases(self):
        return tuple(self._phase(i, phase) for i, phase in enumerate(self.algorithm.phases()))

    def _phase(self, index: int, phase: Phase) -> Phase:
        """The same phase on states that carry the values."""

        def call(kind, state, *arguments, **keywords):
            function = getattr(self.at(state.values).phases()[index], kind)
            return function(state.member, *arguments, **keywords)

        def stepping(kind):
            def step(state, *arguments, **keywords):
                member, metrics = call(kind, state, *arguments, **keywords)
                return state._replace(member=member), metrics

            return step if getattr(phase, kind) is not None else None

        def once(kind):
            def change(state, *arguments, **keywords):
                return state._replace(member=call(kind, state, *arguments, **keywords))

            return change if getattr(phase, kind) is not None else None

        changed = {kind: stepping(kind) for kind in ("update", "refresh")}
        changed |= {kind: once(kind) for kind in ("start", "finish")}
        if phase.view is not None:
            changed["view"] = partial(call, "view")
        return dataclasses.replace(phase, **changed)

    def initial_memory(self, state):
        return self.at(state.values).initial_memory(state.member)

    def rewarded(self, memory, reward):
        return self.algorithm.rewarded(memory, reward)

    def act(self, state, memory, observation, *, key):
        return self.at(state.values).act(state.member, memory, observation, key=key)


def name_of(values: dict[str, Any]) -> str:
    """A combination as a label and a folder's name: `support=0.5`, `hidden_sizes=64-64`."""
    return ",".join(f"{name}={_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    """A value in characters that every file system takes."""
    if isinstance(value, list | tuple):
        return "-".join(map(_plain, value))
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isalnum() or c in ".+-_" else "_" for c in text)
