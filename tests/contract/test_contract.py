"""What the training loop and the users may expect of every algorithm and ablation.

Two seeds side by side are the one program that nearly all tests of a case share:
compiling is what they cost.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import cases, tiny_plan

from shared.runs import registry
from shared.training import program
from shared.training.views import source_of

SEEDS = (0, 5)
CAPACITY = 12
PLAIN = list(registry.algorithms("cnf"))
"""Without the ablations, which differ from them in few lines."""
ALONE = ["cnf", "td3bc", "dt"]
"""Compiled for one seed as well: one with an encoder, an actor-critic, a sequence model."""
FROZEN = {"brac-v": {"clone"}, "onestep": {"clone", "critic", "target_critic"}}
"""What the last phase of an algorithm leaves alone on purpose."""


class Trained(NamedTuple):
    """One case at its end; leading axis of the state = `SEEDS`."""

    plan: Any
    algorithm: Any
    state: Any


@pytest.fixture(params=cases(), scope="module")
def trained(request, hopper_random) -> Trained:
    """All phases of one algorithm or ablation, as many updates a call as there are."""
    plan = tiny_plan(request.param, seeds=SEEDS)
    return Trained(plan, *run(plan, hopper_random, chunk=CAPACITY))


def run(plan, data, *, chunk, seeds=None, state=None):
    """All phases of a plan, `chunk` updates a call; returns the final state."""
    algorithm, seeds = plan.build(), seeds or plan.seeds
    dataset, keys = data.to_device(), program.seed_keys(seeds)
    state = program.init_state(algorithm, data.spec, seeds) if state is None else state
    for index, phase in enumerate(algorithm.phases()):
        if phase.steps == 0:
            continue
        seen, view = source_of(algorithm, index, state, dataset)
        event = partial(program.run_event, algorithm, index, view=view)
        if phase.start is not None:
            state, _ = event(program.START, state, seen, keys, 0)
        for first in range(0, phase.steps, chunk):
            count = min(chunk, phase.steps - first)
            state, history = program.run_updates(
                algorithm, index, CAPACITY, state, seen, keys, first, count, view=view
            )
            for name, values in history.items():
                assert values.shape == (CAPACITY, len(seeds)), name
                assert np.isfinite(values[:count]).all(), name
        if phase.finish is not None:
            state, _ = event(program.FINISH, state, seen, keys, phase.steps)
    return algorithm, state


def leaves(state):
    return [np.asarray(x) for x in jax.tree.leaves(state)]


@partial(jax.jit, static_argnames=("algorithm",))
def play(algorithm, state, observations, keys):
    """Sampled and deterministic actions of one seed at the start of as many episodes."""

    def act(observation, key):
        return algorithm.act(state, algorithm.initial_memory(state), observation, key=key)[0]

    return jax.vmap(act)(observations, keys), jax.vmap(lambda o: act(o, None))(observations)


def observations_of(data, count=16):
    return jnp.asarray(data.transitions.observation[:count]), jax.random.split(
        jax.random.key(0), count
    )


def test_shapes_and_types_are_stable(trained, hopper_random):
    """A state keeps every shape and dtype, is all arrays, and nothing is weakly typed."""
    before = program.state_shapes(trained.algorithm, hopper_random.spec, SEEDS)
    assert jax.tree.structure(before) == jax.tree.structure(trained.state)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(trained.state), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert not y.weak_type


def test_chunk_size_does_not_change_a_bit(trained, hopper_random):
    _, state = run(trained.plan, hopper_random, chunk=3)
    for x, y in zip(leaves(state), leaves(trained.state), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_seed_starts_alike_in_any_company(trained, hopper_random):
    """Whatever its place and its neighbour."""
    spec = hopper_random.spec
    states = [program.init_state(trained.algorithm, spec, seeds) for seeds in (SEEDS, (5, 9))]
    for x, y in zip(*map(leaves, states), strict=True):
        np.testing.assert_array_equal(x[1], y[0])


def test_a_seed_ends_alike_in_any_company(trained, hopper_random):
    """Nothing of one seed reaches another, through all phases."""
    _, state = run(trained.plan, hopper_random, chunk=CAPACITY, seeds=(5, 9))
    for x, y in zip(leaves(trained.state), leaves(state), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("trained", ALONE, indirect=True)
def test_a_vmapped_seed_equals_a_single_one(trained, hopper_random):
    both = program.init_state(trained.algorithm, hopper_random.spec, SEEDS)
    alone = jax.tree.map(lambda x: x[1:], both)
    _, alone = run(trained.plan, hopper_random, chunk=CAPACITY, seeds=SEEDS[1:], state=alone)
    for x, y in zip(leaves(trained.state), leaves(alone), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-4, atol=1e-5)


def test_seeds_differ(trained):
    assert any(not np.array_equal(x[0], x[1]) for x in leaves(trained.state) if x.ndim > 1)


def test_training_moves_the_policy(trained, hopper_random):
    before = program.init_state(trained.algorithm, hopper_random.spec, SEEDS)
    for i, _ in enumerate(SEEDS):
        first, second = (
            play(
                trained.algorithm,
                jax.tree.map(lambda x, i=i: x[i], state),
                *observations_of(hopper_random),
            )[1]
            for state in (before, trained.state)
        )
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_actions_stay_in_range(trained, hopper_random, scale):
    """Even far from the data, in both policy modes."""
    one = jax.tree.map(lambda x: x[0], trained.state)
    observations, keys = observations_of(hopper_random)
    for actions in play(trained.algorithm, one, scale * observations, keys):
        assert actions.shape == (16, 3) and actions.dtype == jnp.float32
        assert np.isfinite(actions).all() and np.abs(actions).max() <= 1.0


@pytest.fixture(scope="module")
def history(trained, hopper_random):
    """The states around each of 4 updates of the last phase."""
    algorithm, keys = trained.algorithm, program.seed_keys(SEEDS)
    state = program.init_state(algorithm, hopper_random.spec, SEEDS)
    index, dataset = len(algorithm.phases()) - 1, hopper_random.to_device()
    states = [jax.device_get(state)]
    for step in range(4):
        state, _ = program.run_updates(
            algorithm, index, CAPACITY, state, dataset, keys, step, 1, view=None
        )
        states.append(jax.device_get(state))
    return states


@pytest.mark.parametrize("trained", PLAIN, indirect=True)
def test_targets_follow_at_every_update_that_they_should(trained, history):
    """Not once a compiled call, and not with the wrong rate."""
    algorithm, frozen = trained.algorithm, FROZEN.get(trained.plan.algorithm, set())
    delay = getattr(algorithm, "policy_delay", 1)
    for name in (x for x in history[0]._fields if x.startswith("target_")):
        for step in range(4):
            old, new = getattr(history[step], name), getattr(history[step + 1], name)
            online = getattr(history[step + 1], name.removeprefix("target_")).model
            moves = step % delay == 0 and name not in frozen
            tau = algorithm.tau if moves else 0.0
            for t, o, n in zip(*map(jax.tree.leaves, (old, online, new)), strict=True):
                np.testing.assert_allclose(n, (1 - tau) * t + tau * o, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("trained", PLAIN, indirect=True)
def test_a_pretrained_encoder_stays_frozen(history):
    before, after = history[0], history[-1]
    for name in ("pretraining", "latent_space") if hasattr(before, "pretraining") else ():
        pair = (jax.tree.leaves(getattr(state, name)) for state in (before, after))
        for x, y in zip(*pair, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("trained", PLAIN, indirect=True)
def test_a_step_is_one_update_of_the_critics(trained, history):
    """`steps: 1000000` are neither two million critic updates nor half a million."""
    algorithm, frozen = trained.algorithm, FROZEN.get(trained.plan.algorithm, set())
    delay = getattr(algorithm, "policy_delay", 1)
    learners = {x: getattr(history[-1], x) for x in history[-1]._fields}
    learners = {x: y for x, y in learners.items() if hasattr(y, "opt_state")}
    for name, learner in learners.items():
        counts = optax.tree_utils.tree_get_all_with_path(learner.opt_state, "count")
        expected = 0 if name in frozen else 4 if name == "critic" else 4 // delay
        assert {int(x) for _, count in counts for x in count} == {expected}, name
