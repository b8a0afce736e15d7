"""What the training loop and the users may expect of every algorithm.

Each check takes an algorithm at the end of all its phases, see `trained`.  Two seeds side by side
are the one program that nearly all checks share: compiling is what they cost.
"""

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import AbstractAlgorithm
from shared.training import program
from shared.training.chunked import Chunked
from shared.training.seeds import of_seed
from shared.training.views import source_of
from shared.types import Spec

SEEDS = (0, 5)
CAPACITY = 600
"""Updates that the one compiled program can do in a call; how many it does is an argument."""
EXAMPLES = 16
"""Observations that policies are asked about."""


class Material(NamedTuple):
    """What an algorithm is trained on: a data set on the device, and its spec."""

    dataset: Any
    spec: Spec


class Trained(NamedTuple):
    """An algorithm at the end of its phases; leading axis of the state = `SEEDS`."""

    algorithm: AbstractAlgorithm
    material: Material
    state: Any


def trained(algorithm: AbstractAlgorithm, material: Material) -> Trained:
    """All phases, with as many updates as the algorithm has (choose few: up to `CAPACITY`)."""
    return Trained(algorithm, material, run(algorithm, material, chunk=CAPACITY))


def run(
    algorithm: AbstractAlgorithm,
    material: Material,
    *,
    chunk: int,
    seeds: tuple[int, ...] = SEEDS,
    state: Any = None,
    updates: int | None = None,
    refresh: bool = False,
) -> Any:
    """The state after all phases.

    Arguments:
        algorithm: whose phases they are.
        material: what it learns from.
        chunk: updates a compiled call.
        seeds: trained side by side.
        state: a fresh one by default; leading axis = `seeds`.
        updates: of each phase; its own `steps` by default.
        refresh: end a phase as the training loop does, with its `refresh`.

    Raises:
        AssertionError: a metric is not finite, or not one number an update.
    """
    keys = program.seed_keys(seeds)
    state = program.init_state(algorithm, material.spec, seeds) if state is None else state
    for index, phase in enumerate(algorithm.phases()):
        steps = phase.steps if updates is None else updates
        if steps == 0:
            continue
        seen, view = source_of(algorithm, index, state, material.dataset)
        event = partial(program.run_event, algorithm, index, view=view)
        if phase.start is not None:
            state, _ = event(program.START, state, seen, keys, 0)
        for first in range(0, steps, chunk):
            count = min(chunk, steps - first)
            state, history = program.run_updates(
                algorithm, index, CAPACITY, state, seen, keys, first, count, view=view
            )
            for name, values in history.items():
                assert values.shape == (CAPACITY, len(seeds)), f"{name}: {values.shape}"
                assert np.isfinite(values[:count]).all(), f"{name} is not finite"
        if refresh and phase.refresh is not None:
            state, _ = event(program.REFRESH, state, seen, keys, steps)
        if phase.finish is not None:
            state, _ = event(program.FINISH, state, seen, keys, steps)
    return state


def check(algorithm: AbstractAlgorithm, material: Material) -> None:
    """All of `CHECKS`; the first that fails raises an AssertionError."""
    subject = trained(algorithm, material)
    for one in CHECKS:
        one(subject)


def leaves(state: Any) -> list[np.ndarray]:
    """All arrays of a state."""
    return [np.asarray(x) for x in jax.tree.leaves(state)]


@partial(jax.jit, static_argnames=("algorithm",))
def play(algorithm, state, observations, keys):
    """Sampled and deterministic actions of one seed at the start of as many episodes."""

    def act(observation, key):
        return algorithm.act(state, algorithm.initial_memory(state), observation, key=key)[0]

    return jax.vmap(act)(observations, keys), jax.vmap(lambda o: act(o, None))(observations)


def examples(material: Material):
    """A few observations of the data, and a key for each."""
    observations = material.dataset.observations_at(jnp.arange(EXAMPLES))
    return observations, jax.random.split(jax.random.key(0), EXAMPLES)


def check_shapes_and_types_are_stable(subject: Trained) -> None:
    """A state keeps every shape and dtype, is all arrays, and nothing is weakly typed."""
    before = program.state_shapes(subject.algorithm, subject.material.spec, SEEDS)
    assert jax.tree.structure(before) == jax.tree.structure(subject.state)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(subject.state), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype), f"{x} became {y.shape}, {y.dtype}"
        assert not y.weak_type, "a weak type compiles every program twice"


def check_chunk_size_does_not_change_a_bit(subject: Trained) -> None:
    """Three updates a call or all at once."""
    state = run(subject.algorithm, subject.material, chunk=3)
    for x, y in zip(leaves(state), leaves(subject.state), strict=True):
        np.testing.assert_array_equal(x, y)


def check_a_seed_starts_alike_in_any_company(subject: Trained) -> None:
    """Whatever its place and its neighbour."""
    spec, last = subject.material.spec, SEEDS[-1]
    states = [program.init_state(subject.algorithm, spec, s) for s in (SEEDS, (last, 9))]
    for x, y in zip(*map(leaves, states), strict=True):
        np.testing.assert_array_equal(x[1], y[0])


def check_a_seed_ends_alike_in_any_company(subject: Trained) -> None:
    """Nothing of one seed reaches another, through all phases."""
    state = run(subject.algorithm, subject.material, chunk=CAPACITY, seeds=(SEEDS[-1], 9))
    for x, y in zip(leaves(subject.state), leaves(state), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-4, atol=1e-5)


def check_a_vmapped_seed_equals_a_single_one(subject: Trained) -> None:
    """Two seeds side by side are two runs, up to the rounding of two programs."""
    both = program.init_state(subject.algorithm, subject.material.spec, SEEDS)
    alone = jax.tree.map(lambda x: x[1:], both)
    alone = run(subject.algorithm, subject.material, chunk=CAPACITY, seeds=SEEDS[1:], state=alone)
    for x, y in zip(leaves(subject.state), leaves(alone), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=1e-3, atol=2e-4)


def check_seeds_differ(subject: Trained) -> None:
    """In some array at least."""
    assert any(not np.array_equal(x[0], x[1]) for x in leaves(subject.state) if x.ndim > 1)


def check_training_moves_the_policy(subject: Trained) -> None:
    """The actions of every seed, in one mode of the policy at least."""
    before = program.init_state(subject.algorithm, subject.material.spec, SEEDS)
    for i, _ in enumerate(SEEDS):
        first, second = (
            np.stack(play(subject.algorithm, of_seed(state, i), *examples(subject.material)))
            for state in (before, subject.state)
        )
        assert not np.array_equal(first, second)


def check_actions_stay_in_range(subject: Trained) -> None:
    """Even far from the data, in both policy modes."""
    observations, keys = examples(subject.material)
    for scale in (1.0, 100.0, 1e6):
        for actions in play(
            subject.algorithm, of_seed(subject.state, 0), scale * observations, keys
        ):
            assert actions.shape == (EXAMPLES, subject.material.spec.action_size)
            assert actions.dtype == jnp.float32
            assert np.isfinite(actions).all() and np.abs(actions).max() <= 1.0


def check_what_is_declared(subject: Trained) -> None:
    """A learned reward comes with a critic of actions, and a reusable part with its fields."""
    algorithm, state = subject.algorithm, of_seed(subject.state, 0)
    part = algorithm.reusable
    if part is not None:
        named = algorithm.algorithm if isinstance(algorithm, Chunked) else algorithm
        names = {field for field in named.__dataclass_fields__}
        assert {*part.keys, part.steps} <= names, f"{part} names no hyperparameter"
        assert part.phase in [phase.name for phase in algorithm.phases()]
        for name in part.fields:
            assert jax.tree.leaves(attrgetter(name)(state)), f"{name} is no field of the state"
    learned = algorithm.learned_reward(state)
    if learned is not None:
        assert 0 <= float(learned.discount) <= 1
        observation, action = examples(subject.material)[0][0], subject.material.dataset.action[0]
        value = algorithm.critic_value(state, observation, action)
        assert value.shape == () and np.isfinite(value)


CHECKS: tuple[Callable[[Trained], None], ...] = (
    check_shapes_and_types_are_stable,
    check_chunk_size_does_not_change_a_bit,
    check_a_seed_starts_alike_in_any_company,
    check_a_seed_ends_alike_in_any_company,
    check_seeds_differ,
    check_training_moves_the_policy,
    check_actions_stay_in_range,
    check_what_is_declared,
)
"""What every algorithm must pass on state observations.

`check_a_vmapped_seed_equals_a_single_one` costs another program, and comes besides.
"""
