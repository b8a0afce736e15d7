"""MOPO and MOBILE: the contract, imagined rows, and prices of doubt.

Compiling is what they cost: all runs of an algorithm are cut into calls of one program.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract.test_contract import leaves, observations_of, play
from slow import ensemble_member, mlp

from clap.algorithms.mobile import MOBILE
from clap.imagination import aleatoric_doubt, imagine
from clap.model.ensemble import targets_of
from clap.model.terminations import KnownTermination
from shared.errors import ConfigError
from shared.record.run_folder import RunFolder
from shared.runs import frozen_model, trained
from shared.runs.plan import make_plan
from shared.runs.resume import resume
from shared.runs.start import train_plan
from shared.training import program

TINY = {
    **{"members": 3, "elites": 2, "model_hidden_sizes": [12, 11], "weight_decay": [1e-4] * 3},
    **{"model_steps": 8, "model_batch_size": 16, "validate_every": 4, "validation_rows": 50},
    **{"rollouts": 24, "rollout_length": 3, "rollout_every": 4, "rollouts_kept": 2},
    **{"steps": 8, "batch_size": 16, "real_fraction": 0.25},
    **{"actor_hidden_sizes": [12], "critic_hidden_sizes": [12], "normalize_observations": True},
    **{"steps_per_call": 4, "evaluate_every": 8, "save_every": 4, "episodes": 1},
}
"""Ends of calls are where a run saves, so that a killed one shares its programs."""
SEEDS = (0, 5)
SHOWN = {"replay": None, "view": None}
"""As the training loop calls, so that its programs are found again."""


def tiny_plan(name: str, **overrides):
    return make_plan("clap", name, "hopper-random", seeds=SEEDS, overrides=overrides)


class Finished(NamedTuple):
    """A run of two seeds at its end."""

    plan: Any
    algorithm: Any
    state: Any
    folder: Any


@pytest.fixture(autouse=True)
def precision():
    """The training loop's, which is part of what its compiled programs are known by."""
    with jax.default_matmul_precision("default"):
        yield


@pytest.fixture(scope="module")
def mopo(hopper_random, tmp_path_factory) -> Finished:
    plan = tiny_plan("mopo", **TINY)
    folder = tmp_path_factory.mktemp("mopo") / "run"
    train_plan(plan, hopper_random, folder)
    return Finished(plan, plan.build(), trained.load_state(folder)[3], folder)


@pytest.fixture(scope="module")
def mobile(mopo, hopper_random, tmp_path_factory) -> Finished:
    """On the models of MOPO, which it need not train again."""
    part = MOBILE.reusable
    taken = (*part.keys, part.steps)
    rest = {key: value for key, value in TINY.items() if key not in taken}
    overrides = frozen_model.model_overrides(mopo.folder, rest | {"penalty_samples": 2})
    plan = tiny_plan("mobile", **overrides)
    folder = tmp_path_factory.mktemp("mobile") / "run"
    model = frozen_model.load_model(mopo.folder, plan, hopper_random)
    train_plan(plan, hopper_random, folder, model=model)
    return Finished(plan, plan.build(), trained.load_state(folder)[3], folder)


@pytest.fixture(scope="module", params=["mopo", "mobile"])
def finished(request) -> Finished:
    return request.getfixturevalue(request.param)


def run(algorithm, state, data, seeds, *, chunk):
    """What a run computes, by hand and with its programs: all phases, `chunk` updates a call."""
    dataset, keys = data.to_device(), program.seed_keys(seeds)
    for index, phase in enumerate(algorithm.phases()):
        if phase.steps == 0:
            continue
        event = partial(program.run_event, algorithm, index)
        if phase.start is not None:
            state, _ = event(program.START, state, dataset, keys, 0, None)
        for first in range(0, phase.steps, chunk):
            call = (state, dataset, keys, first, chunk)
            state, history = program.run_updates(algorithm, index, 4, *call, **SHOWN)
            for name, values in history.items():
                assert values.shape == (4, len(seeds)) and np.isfinite(values).all(), name
            if (first + chunk) % phase.refresh_every == 0:
                call = (state, dataset, keys, first + chunk, None)
                state, metrics = event(program.REFRESH, *call)
                for name, values in metrics.items():
                    assert values.shape == (len(seeds),) and np.isfinite(values).all(), name
    return state


def one_seed(state):
    return jax.tree.map(lambda x: jnp.asarray(x[0]), state)


def test_shapes_and_types_are_stable(finished, hopper_random):
    before = program.state_shapes(finished.algorithm, hopper_random.spec, SEEDS)
    assert jax.tree.structure(before) == jax.tree.structure(finished.state)
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(finished.state), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)


def test_chunk_size_does_not_change_a_bit(finished, hopper_random):
    state = program.init_state(finished.algorithm, hopper_random.spec, SEEDS)
    if finished.plan.algorithm == "mobile":
        model = frozen_model.load_model(finished.folder, finished.plan, hopper_random)
        state = jax.tree.map(jnp.array, model.put_into(state, SEEDS))
    state = run(finished.algorithm, state, hopper_random, SEEDS, chunk=2)
    assert not any(x.weak_type for x in jax.tree.leaves(state))
    for x, y in zip(leaves(state), leaves(finished.state), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_killed_run_goes_on_to_the_same_bits(mopo, hopper_random, tmp_path, monkeypatch):
    """Killed at the policy's first checkpoint, whose imagined rows it must find again."""

    class Kill(BaseException):
        pass

    save, count = RunFolder.save, iter(range(10))

    def stop(run, *arguments):
        name = save(run, *arguments)
        if next(count) == 2:
            raise Kill
        return name

    with monkeypatch.context() as patch, pytest.raises(Kill):
        patch.setattr(RunFolder, "save", stop)
        train_plan(mopo.plan, hopper_random, tmp_path / "run")
    resume(tmp_path / "run", load=lambda _: hopper_random)
    assert (tmp_path / "run/scores.csv").read_bytes() == (mopo.folder / "scores.csv").read_bytes()
    again = trained.load_state(tmp_path / "run")[3]
    for x, y in zip(leaves(again), leaves(mopo.state), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("name", "index"), [("mopo", 0), ("mobile", 1)])
def test_a_vmapped_seed_equals_a_single_one(name, index, request, hopper_random):
    """Updates of the models, which both share, and of a policy on freshly imagined rows."""
    algorithm = request.getfixturevalue(name).algorithm
    start = program.init_state(algorithm, hopper_random.spec, SEEDS)
    dataset, keys = hopper_random.to_device(), program.seed_keys(SEEDS)
    if index == 1:
        start, _ = program.run_event(algorithm, 1, program.START, start, dataset, keys, 0, None)
    ends = []
    for count in (2, 1):
        state = jax.tree.map(lambda x, count=count: jnp.copy(x[-count:]), start)
        call = (state, dataset, keys[-count:], 0, 4)
        ends.append(program.run_updates(algorithm, index, 4, *call, **SHOWN)[0])
    for x, y in zip(*map(leaves, ends), strict=True):
        np.testing.assert_allclose(x[1], y[0], rtol=2e-3, atol=1e-4)
    assert any(not np.array_equal(x[0], x[1]) for x in leaves(ends[0]) if x.ndim > 2)


def test_training_moves_the_policy_and_actions_stay_in_range(finished, hopper_random):
    state, algorithm = one_seed(finished.state), finished.algorithm
    fresh = one_seed(program.init_state(algorithm, hopper_random.spec, SEEDS))
    observations, keys = observations_of(hopper_random)
    before, after = (play(algorithm, s, observations, keys)[1] for s in (fresh, state))
    assert not np.array_equal(before, after)
    for actions in play(algorithm, state, 1e6 * observations, keys):
        assert np.isfinite(actions).all() and np.abs(actions).max() <= 1.0


def test_one_takes_over_the_models_of_the_other(mopo, mobile):
    assert mobile.plan.hyperparameters["model_steps"] == 0
    for x, y in zip(leaves(mobile.state.dynamics), leaves(mopo.state.dynamics), strict=True):
        np.testing.assert_array_equal(x, y)


def test_settings_that_cannot_work_are_one_sentence():
    for name, more, expected in (
        ("mopo", {"weight_decay": [1e-4]}, "weight_decay has 1 numbers"),
        ("mopo", {"elites": 4}, "choose 1 to members = 3"),
        ("mopo", {"real_fraction": 1.0}, "leave rows to imagine"),
        ("mobile", {"elites": 1}, "how much elites differ"),
    ):
        with pytest.raises(ConfigError, match=expected):
            tiny_plan(name, **TINY | more)


def test_the_actors_step_size_falls_to_zero(mopo):
    optimizer = mopo.algorithm.optimizers.actor
    opt_state, weight = optimizer.init(jnp.ones(())), jnp.ones(())
    sizes = []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(mopo.algorithm.steps + 1):
            change, opt_state = optimizer.update(weight, opt_state)
            sizes.append(float(-change))
    np.testing.assert_allclose(sizes[0], mopo.algorithm.actor_learning_rate, rtol=1e-4)
    assert sizes[-1] == 0.0 and all(np.diff(sizes) < 0)


def with_log_variance(ensemble, value):
    """The same means, and log variances between `value` and `value` + log 2."""
    limits = jnp.full_like(ensemble.lowest, value)
    return eqx.tree_at(lambda e: (e.lowest, e.highest), ensemble, (limits, limits))


# ---- imagined rows -------------------------------------------------------------------------


def test_imagined_episodes_hang_together_and_end_by_the_rule(mopo, hopper_random):
    """In models that shake the robot, so that some fall."""
    state, length, size = one_seed(mopo.state), 4, 40
    starts = jnp.asarray(hopper_random.transitions.observation[:size])
    shaky = with_log_variance(state.dynamics.best, -5.0)
    dynamics = state.dynamics._replace(best=shaky)

    def act(s, *, key):
        return jnp.tanh(s[:3] + 0.1 * jax.random.normal(key, (3,)))

    options = {"length": length, "ended": KnownTermination("hopper")}
    made = jax.jit(lambda key: imagine(dynamics, act, starts, **options, key=key))
    rows, doubt, alive = jax.tree.map(
        lambda x: np.asarray(x).reshape(length, size, *x.shape[1:]), made(jax.random.key(0))
    )
    np.testing.assert_array_equal(rows.observation[0], starts)
    np.testing.assert_array_equal(rows.observation[1:], rows.next_observation[:-1])
    height, angle = rows.next_observation[..., 0], rows.next_observation[..., 1]
    np.testing.assert_array_equal(rows.terminal, ~((height > 0.7) & (np.abs(angle) < 0.2)))
    fallen = np.cumsum(rows.terminal, axis=0)
    assert alive[0].all() and 0 < fallen[-1].astype(bool).sum() < size
    np.testing.assert_array_equal(alive[1:], fallen[:-1] == 0)
    flat = (x.reshape(-1, x.shape[-1]) for x in (rows.observation, rows.action))
    expected = aleatoric_doubt(dynamics.predict(*map(jnp.asarray, flat)))
    np.testing.assert_allclose(doubt.reshape(-1), expected, rtol=1e-4)


def test_answers_are_those_of_elites(mopo, hopper_random):
    """With hardly any spread, every answer is the mean of one of them, and all get their turn."""
    state = one_seed(mopo.state)
    dynamics, elites = state.dynamics, np.asarray(state.dynamics.elites)
    still = dynamics._replace(best=with_log_variance(dynamics.best, -40.0))
    starts = jnp.asarray(hopper_random.transitions.observation[:32])

    def act(s, *, key):
        del key
        return jnp.tanh(s[:3])

    made = imagine(
        still, act, starts, length=1, ended=KnownTermination("none"), key=jax.random.key(0)
    )
    means = np.asarray(still.predict(starts, made.rows.action).mean)
    answers = np.asarray(targets_of(made.rows))
    gaps = np.abs(answers[None] - means[elites]).max(-1)
    assert (gaps.min(0) < 1e-3).all()
    assert set(gaps.argmin(0)) == {0, 1}
    assert not made.rows.terminal.any() and made.alive.all()


def test_a_ring_that_is_not_full_shows_only_what_it_holds(finished):
    """Nobody learns from rows of zeros."""
    for seed in range(2):
        imagined = jax.tree.map(lambda x, seed=seed: x[seed], finished.state.imagined)
        heights = np.asarray(imagined.rows.observation)[: int(imagined.size), 0]
        assert (np.abs(heights) > 1e-3).all()


# ---- prices of doubt -------------------------------------------------------------------------


def test_mopo_alone_takes_the_price_from_imagined_rewards(finished, hopper_random):
    """What lies in an emptied ring is what the models said, less the price of their doubt."""
    empty = finished.state.imagined._replace(
        place=jnp.zeros(2, jnp.int32), size=jnp.zeros(2, jnp.int32)
    )
    state = jax.tree.map(jnp.array, finished.state._replace(imagined=empty))
    call = (state, hopper_random.to_device(), program.seed_keys(SEEDS), 4, None)
    state, metrics = program.run_event(finished.algorithm, 1, program.REFRESH, *call)
    scale = finished.algorithm.penalty_scale if finished.plan.algorithm == "mopo" else 0.0
    for seed in range(2):
        size = int(state.imagined.size[seed])
        assert size == round(float(metrics["imagined_share"][seed]) * 72)
        found = np.mean(state.imagined.rows.reward[seed, :size])
        expected = metrics["imagined_reward"][seed] - scale * metrics["imagined_doubt"][seed]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_critics_say_what_an_action_is_worth(finished):
    """The smaller one, of a raw observation and of the data's own reward."""
    algorithm, state = finished.algorithm, one_seed(finished.state)
    s, a = jnp.linspace(0.5, 1.5, 11), jnp.asarray([0.1, -0.2, 0.3])
    x = np.concatenate([np.asarray(state.normalizer(s)), a])
    members = state.agent.critic.model.members
    critics = [jax.tree.map(lambda x, i=i: np.asarray(x[i]), members) for i in (0, 1)]
    expected = min(mlp(critic, x)[0] for critic in critics)
    np.testing.assert_allclose(algorithm.critic_value(state, s, a), expected, rtol=1e-4)
    assert algorithm.learned_reward(state) == (0.99, 1.0, 0.0)


def test_mobiles_targets_against_numpy(mobile, hopper_random):
    """With an actor without spread; the noise of the models' answers alone is taken over."""
    algorithm, state = mobile.algorithm, one_seed(mobile.state)
    last = state.agent.actor.model.network.layers[-1]
    bias = last.bias.at[3:].set(-30.0)
    weight = last.weight.at[3:].set(0.0)
    narrow = eqx.tree_at(lambda x: (x.bias, x.weight), last, (bias, weight))
    state = eqx.tree_at(lambda s: s.agent.actor.model.network.layers[-1], state, narrow)
    rows = jax.tree.map(lambda x: jnp.asarray(x[:6]), hopper_random.transitions)
    rows = rows._replace(terminal=jnp.asarray([False, True] * 3))
    mean, std = np.asarray(state.normalizer.mean), np.asarray(state.normalizer.std) + 1e-3

    critics = [
        jax.tree.map(lambda x, i=i: np.asarray(x[i]), state.agent.target_critic.members)
        for i in (0, 1)
    ]
    actor = jax.tree.map(np.asarray, state.agent.actor.model.network)

    def value(s):
        s = (np.asarray(s, np.float64) - mean) / std
        a = np.tanh(mlp(actor, s)[:3])
        return min(mlp(critic, np.concatenate([s, a]))[0] for critic in critics)

    key = jax.random.key(3)
    k_next, _ = jax.random.split(jax.random.split(key)[1])
    real = algorithm.real_rows
    assert real == 4
    noise = np.asarray(jax.random.normal(k_next, (2, 2, 2, 11)))
    s_next = jax.vmap(state.normalizer)(rows.next_observation)
    y, metrics = jax.jit(algorithm.targets)(state, rows, s_next, key=key)
    doubts = []
    rows, best = jax.tree.map(np.asarray, (rows, state.dynamics.best))
    for i in range(6):
        expected = rows.reward[i] + 0.99 * (1 - int(rows.terminal[i])) * value(
            rows.next_observation[i]
        )
        if i >= real:
            x = np.concatenate([(np.asarray(rows.observation[i]) - mean) / std, rows.action[i]])
            means = []
            for e, k in enumerate(np.asarray(state.dynamics.elites)):
                m, log_variance = ensemble_member(best, k, x)
                spread = np.exp(0.5 * log_variance)[:-1]
                draws = [
                    rows.observation[i] + m[:-1] + spread * noise[j, e, i - real] for j in range(2)
                ]
                means.append(np.mean([value(s) for s in draws]))
            doubts.append(np.std(means, ddof=1))
            expected -= algorithm.penalty_scale * doubts[-1]
        np.testing.assert_allclose(y[i], max(expected, 0.0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(metrics["inconsistency"], np.mean(doubts), rtol=1e-3)
    assert (np.asarray(y) > 0).any()
