"""The contract of tests/contract for C-LAP, its ablations and its options; recurrent acting."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract.test_contract import leaves, run
from dreams import TINY
from long import long_but

from shared.datasets.sequences import to_sequences
from shared.errors import NonFiniteError
from shared.record.run_folder import RunFolder
from shared.runs.plan import make_plan
from shared.testing.contract import CAPACITY
from shared.training import loop, program
from shared.training.evaluation import evaluate
from shared.training.seeds import copied, of_seed
from shared.training.views import source_of

CASES = {
    "paper": {},
    "noise, no constraint, remembered states": {
        **{"latent_actions": "flow-matching", "support": None, "recorded_states": "remembered"},
    },
    "no latent action, discrete states": {"latent_actions": "none", "stochastic_kind": "discrete"},
    "prior as policy, divided KLs": {
        **{"policy": "prior", "kl_balance": 0.8, "free_nats": 1.0, "latent_action_free_nats": 0.5},
    },
    "flow latents, every option": {
        **{"latent_actions": "flow", "learned_std": False},
        **{"tau": 0.02, "value_members": 3, "value_units": "data", "data_bounds": True},
        **{"imitation_weight": 1.0, "imitation_temperature": 0.5, "imitation_by": "episode"},
        **{"dream_value_weight": 0.5, "expectile": 0.7, "state_from": "observation"},
        **{"real_value_weight": 0.5, "stop_box_gradient": True},
        **{"model_cosine_decay": True, "agent_cosine_decay": True},
        **{"return_weighting": 0.5, "dream_weight": 0.5},
    },
}

LOOKED_AT = [
    "noise, no constraint, remembered states",
    "no latent action, discrete states",
    "flow latents, every option",
]
"""Each has a held-out bound of its own; the others share the first one's, line for line."""


def tiny_plan(case: str, seeds=(0,), **more):
    overrides = TINY | CASES[case] | more
    return make_plan("clap", "clap", "hopper-random", seeds=seeds, overrides=overrides)


SHORT = "paper", "noise, no constraint, remembered states", "flow latents, every option"


@pytest.fixture(scope="module", params=long_but(CASES, *SHORT))
def trained(request, hopper_random):
    """Plan, algorithm and final state of two seeds, 12 updates a call at most."""
    plan = tiny_plan(request.param, seeds=(0, 5))
    return plan, *run(plan, hopper_random, chunk=12)


@partial(jax.jit, static_argnames=("algorithm",))
def act(algorithm, state, memory, observation, key=None):
    """Action and memory of one seed; all tests of a case share the program."""
    return algorithm.act(state, memory, observation, key=key)


def first_of(state):
    return of_seed(state, 0)


def test_shapes_and_types_are_stable(trained, hopper_random):
    plan, algorithm, after = trained
    before = program.state_shapes(algorithm, hopper_random.spec, plan.seeds)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert not y.weak_type


def test_chunk_size_does_not_change_a_bit(trained, hopper_random):
    plan, _, state = trained
    _, again = run(plan, hopper_random, chunk=3)
    for x, y in zip(leaves(state), leaves(again), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_seed_ends_alike_in_any_company(trained, hopper_random):
    """Nothing of one seed reaches another, through both phases."""
    plan, _, both = trained
    _, others = run(plan, hopper_random, chunk=12, seeds=(5, 9))
    for x, y in zip(leaves(both), leaves(others), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("trained", ["paper"], indirect=True)
def test_a_vmapped_seed_equals_a_single_one(trained, hopper_random):
    plan, _, both = trained
    _, alone = run(plan, hopper_random, chunk=12, seeds=(5,))
    for x, y in zip(leaves(both), leaves(alone), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-3, atol=1e-4)
    assert any(not np.array_equal(x[0], x[1]) for x in leaves(both) if x.ndim > 2)


def test_training_moves_the_policy(trained, hopper_random):
    plan, algorithm, after = trained
    before = program.init_state(algorithm, hopper_random.spec, plan.seeds)
    observation = jnp.asarray(hopper_random.transitions.observation[7])
    actions = []
    for one in map(first_of, (before, after)):
        actions.append(act(algorithm, one, algorithm.initial_memory(one), observation)[0])
    assert not np.array_equal(*actions)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_actions_stay_in_range(trained, hopper_random, scale):
    """Over several recurrent steps, even far from the data, in both policy modes."""
    _, algorithm, state = trained
    one = first_of(state)
    observations = jnp.asarray(hopper_random.transitions.observation[:16]) * scale
    for key in (None, jax.random.key(0)):
        memory = algorithm.initial_memory(one)
        for observation in observations:
            action, memory = act(algorithm, one, memory, observation, key)
            assert action.shape == (3,) and action.dtype == jnp.float32
            assert np.isfinite(action).all() and np.abs(action).max() <= 1.0


@pytest.mark.parametrize("trained", long_but(LOOKED_AT, *SHORT), indirect=True)
def test_looks_at_held_out_episodes_give_finite_metrics(trained, hopper_random):
    plan, algorithm, state = trained
    dataset, keys = hopper_random.to_device(), program.seed_keys(plan.seeds)
    for index, _ in enumerate(algorithm.phases()):
        copy = copied(state)  # the program takes its buffers
        seen, view = source_of(algorithm, index, state, dataset)
        _, metrics = program.run_event(algorithm, index, program.REFRESH, copy, seen, keys, 4, view)
        for name, value in metrics.items():
            assert value.shape == (2,) and np.isfinite(value).all(), name


def test_the_memory_matters_and_is_forgotten_at_a_reset(trained, hopper_random):
    """The same observation means something else later in an episode, and the same at its start.

    Not if states are inferred from the observation alone.
    """
    _, algorithm, state = trained
    one = first_of(state)
    first, later = map(jnp.asarray, hopper_random.transitions.observation[:2])
    play = partial(act, algorithm, one)
    start = algorithm.initial_memory(one)
    action, memory = play(start, first)
    assert jax.tree.structure(start) == jax.tree.structure(memory)
    forgetful = np.array_equal(play(memory, later)[0], play(start, later)[0])
    assert forgetful == (algorithm.state_from == "observation")
    np.testing.assert_array_equal(play(algorithm.initial_memory(one), first)[0], action)


@pytest.mark.parametrize("trained", ["noise, no constraint, remembered states"], indirect=True)
def test_remembered_states_are_those_of_a_policy_that_acts(trained, hopper_random):
    """Observation by observation, from the start of an episode to its last state."""
    _, algorithm, state = trained
    dataset = hopper_random.to_device()
    _, view = source_of(algorithm, 1, state, dataset)
    core, frames = first_of(state).world_model.model.rssm, to_sequences(dataset)
    rows = slice(int(frames.episodes.first[1]), int(frames.episodes.last[1]) + 1)
    observations = jax.vmap(first_of(state).normalizer)(frames.observation[rows])
    latent, action = core.initial(), jnp.zeros(3)
    filter_ = eqx.filter_jit(core.filter)
    for t, observation in enumerate(observations):
        latent = filter_(latent, action, observation, jnp.zeros(core.states.size))
        np.testing.assert_allclose(view[0, rows][t], latent.feature, atol=1e-5)
        action = frames.places.action[rows][t]


@pytest.mark.parametrize(
    "trained", ["paper", "noise, no constraint, remembered states"], indirect=True
)
def test_samples_draw_the_state_only_if_the_agent_knows_such_states(trained, hopper_random):
    _, algorithm, state = trained
    one, observation = first_of(state), jnp.asarray(hopper_random.transitions.observation[0])
    play = partial(act, algorithm, one, algorithm.initial_memory(one), observation)
    (mode, likeliest), (sample, seen) = play(), play(key=jax.random.key(0))
    same = np.array_equal(likeliest.latent.stochastic, seen.latent.stochastic)
    assert same == (algorithm.recorded_states == "remembered")
    assert not np.array_equal(mode, sample)


@pytest.mark.parametrize("trained", ["paper"], indirect=True)
@pytest.mark.parametrize(("weight", "moves"), [(0.0, False), (1.0, True)])
def test_dreams_move_the_actor_by_their_weight_alone(trained, hopper_random, weight, moves):
    """A fresh agent, for Adam goes on along what it remembers."""
    algorithm, key = dataclasses.replace(trained[1], dream_weight=weight), jax.random.key(0)
    state = jax.jit(lambda: algorithm.init(hopper_random.spec, key=key))()
    batch = jax.jit(lambda data: algorithm.draw_agent(data, key=key))(hopper_random.to_device())
    after, _ = jax.jit(algorithm.update_agent)(state, batch, key=key)
    before, actor = state.agent.model.actor, after.agent.model.actor
    assert moves != all(map(np.array_equal, leaves(before), leaves(actor)))


@pytest.mark.parametrize("trained", ["paper"], indirect=True)
def test_evaluation_passes_the_memory_on(trained):
    plan, algorithm, state = trained
    rows = evaluate(algorithm, state, "hopper", seeds=plan.seeds, step=0, episodes=1)
    assert len(rows) == 4 and all(row["length"] > 1 for row in rows)


@pytest.mark.parametrize("trained", ["paper"], indirect=True)
def test_a_reward_that_is_nan_stops_with_the_name_of_its_term(trained, hopper_random, tmp_path):
    """It cannot be read from a file, but the training loop does not rely on that."""
    plan, algorithm, _ = trained
    rewards = np.full(hopper_random.rows, np.nan, np.float32)
    transitions = hopper_random.transitions._replace(reward=rewards)
    data = dataclasses.replace(hopper_random, transitions=transitions).to_device()
    keys = program.seed_keys(plan.seeds)
    state = program.init_state(algorithm, hopper_random.spec, plan.seeds)
    _, history = program.run_updates(
        algorithm, 0, CAPACITY, state, data, keys, 0, 8, view=None
    )  # the program of `trained`
    run = RunFolder.create(tmp_path / "run", config={}, record={})
    history = {name: np.asarray(values)[:8] for name, values in history.items()}
    with run, pytest.raises(NonFiniteError) as caught:
        loop.check(history, algorithm.phases()[0], 0, plan.seeds, run, lambda: None)
    assert "phase 'model', step 1, seed 0:" in str(caught.value)
    assert "'reward_nll' became nan" in str(caught.value)
    assert "observation_nll" not in str(caught.value)
