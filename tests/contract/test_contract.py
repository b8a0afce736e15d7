"""What the training loop and the users may expect of every algorithm and ablation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import cases, tiny_plan

from shared.training import program


@pytest.fixture(params=cases(), scope="module")
def case(request) -> str:
    """One algorithm or ablation; its tests run one after another and share compiled programs."""
    return request.param


def run(plan, data, *, chunk, seeds=None, stop_after=None):
    """All phases of a plan, `chunk` updates a call; returns the final state."""
    algorithm, seeds = plan.build(), seeds or plan.seeds
    dataset, keys = data.to_device(), program.seed_keys(seeds)
    state = program.init_state(algorithm, data.spec, seeds)
    for index, phase in enumerate(algorithm.phases()):
        if phase.start is not None:
            state, _ = program.run_event(algorithm, index, program.START, state, dataset, keys, 0)
        for first in range(0, phase.steps, chunk):
            count = min(chunk, phase.steps - first)
            state, history = program.run_updates(
                algorithm, index, 12, state, dataset, keys, first, count
            )
            for name, values in history.items():
                assert values.shape == (12, len(seeds)), name
                assert np.isfinite(values[:count]).all(), name
        if phase.finish is not None:
            state, _ = program.run_event(
                algorithm, index, program.FINISH, state, dataset, keys, phase.steps
            )
    return algorithm, state


def leaves(state):
    return [np.asarray(x) for x in jax.tree.leaves(state)]


def test_shapes_and_types_are_stable(case, hopper_random):
    """A state keeps every shape and dtype, is all arrays, and nothing is weakly typed."""
    plan = tiny_plan(case)
    algorithm, after = run(plan, hopper_random, chunk=4)
    before = program.state_shapes(algorithm, hopper_random.spec, plan.seeds)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert not y.weak_type


def test_chunk_size_does_not_change_a_bit(case, hopper_random):
    plan = tiny_plan(case)
    states = [run(plan, hopper_random, chunk=chunk)[1] for chunk in (3, 12)]
    for x, y in zip(*map(leaves, states), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_vmapped_seed_equals_a_single_one(case, hopper_random):
    plan = tiny_plan(case, seeds=(0, 5))
    _, both = run(plan, hopper_random, chunk=12)
    _, alone = run(plan, hopper_random, chunk=12, seeds=(5,))
    for x, y in zip(leaves(both), leaves(alone), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-4, atol=1e-5)


def test_seeds_differ(case, hopper_random):
    _, state = run(tiny_plan(case, seeds=(0, 1)), hopper_random, chunk=12)
    assert any(not np.array_equal(x[0], x[1]) for x in leaves(state) if x.ndim > 1)


def test_training_moves_the_policy(case, hopper_random):
    plan = tiny_plan(case)
    algorithm, after = run(plan, hopper_random, chunk=12)
    before = program.init_state(algorithm, hopper_random.spec, plan.seeds)
    observation = jnp.asarray(hopper_random.transitions.observation[7])
    first, second = (
        algorithm.act(jax.tree.map(lambda x: x[0], s), (), observation, key=None)[0]
        for s in (before, after)
    )
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_actions_stay_in_range(case, hopper_random, scale):
    """Even far from the data, in both policy modes."""
    plan = tiny_plan(case)
    algorithm, state = run(plan, hopper_random, chunk=12)
    one = jax.tree.map(lambda x: x[0], state)
    observations = jnp.asarray(hopper_random.transitions.observation[:16]) * scale

    def act(observation, key):
        return algorithm.act(one, algorithm.initial_memory(one), observation, key=key)[0]

    keys = jax.random.split(jax.random.key(0), 16)
    for actions in (
        jax.vmap(act)(observations, keys),
        jax.vmap(lambda o: act(o, None))(observations),
    ):
        assert actions.shape == (16, 3) and actions.dtype == jnp.float32
        assert np.isfinite(actions).all() and np.abs(actions).max() <= 1.0
