"""Errors of critics against returns, row by row in slow NumPy and a simulator of their own."""

import numpy as np
import pytest
import slow
from click.testing import CliRunner
from tiny import tiny_plan

from cnf.cli import main
from shared.environments.simulators import make_environment
from shared.errors import RunError
from shared.runs import trained
from shared.runs.q_errors import Rollout, compare, discounted_returns, metrics, play, q_errors
from shared.runs.start import train_plan
from shared.runs.state_distance import compare as compare_distances
from shared.runs.state_distance import nearest, recorded, state_distances
from shared.training.seeds import of_seed


@pytest.fixture(scope="module")
def run(hopper_random, tmp_path_factory):
    plan = tiny_plan("iql", seeds=(0, 4), steps=4, return_span=100.0, reward_shift=-0.5)
    return train_plan(plan, hopper_random, tmp_path_factory.mktemp("q") / "run")


def test_the_metrics():
    found = metrics(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 1.0, 0.0]))
    expected = {"mse": 5.25, "overestimated": 0.5, "overestimation": 3.0, "underestimation": -1.0}
    assert found == expected | {"q": 2.5, "return_": 1.25}
    assert metrics(np.zeros(2), np.zeros(2))["overestimation"] == 0.0


def test_rollouts_and_values_are_those_of_the_policy(run, hopper_random):
    """Every step again in another simulator; Q and G one number at a time."""
    plan, _, algorithm, state, position = trained.load_state(run)
    rollouts = play(algorithm, state, "hopper", seeds=plan.seeds, step=4, episodes=2)
    assert [len(own) for own in rollouts] == [2, 2]
    low, high = hopper_random.episode_returns.min(), hopper_random.episode_returns.max()
    simulator = make_environment("hopper")
    for i, own in enumerate(rollouts):
        one = of_seed(state, i)
        for episode, rollout in enumerate(own):
            start = np.random.SeedSequence([plan.seeds[i], 4, episode]).generate_state(1)[0]
            observation, _ = simulator.reset(seed=int(start))
            for t, action in enumerate(rollout.action):
                np.testing.assert_array_equal(rollout.observation[t], observation.astype("f4"))
                observation, reward, terminal, _, _ = simulator.step(action)
                assert rollout.reward[t] == np.float32(reward)
            assert terminal == rollout.terminal
            q, return_ = compare(algorithm, one, rollout, algorithm.learned_reward(one))
            pairs = zip(rollout.observation, rollout.action, strict=True)
            expected = [slow.critics(one.critic.model, s, a).min() for s, a in pairs]
            np.testing.assert_allclose(q, expected, rtol=1e-4, atol=1e-5)
            scaled = 100.0 / (high - low) * rollout.reward - 0.5
            powers = algorithm.discount ** np.arange(len(scaled))
            np.testing.assert_allclose(return_[0], powers @ scaled, rtol=1e-4)
            np.testing.assert_allclose(return_[-1], scaled[-1], rtol=1e-4)
    simulator.close()
    rows = q_errors(run, episodes=2)
    assert [row["seed"] for row in rows] == [0, 4]
    assert rows[0]["rows"] == sum(len(rollout.reward) for rollout in rollouts[0])


def test_a_time_limit_leaves_out_its_last_rows(run):
    plan, _, algorithm, state, _ = trained.load_state(run)
    one = of_seed(state, 0)
    cases = {(1000, False): 1000 - 459, (1000, True): 1000, (300, False): 1}
    for (steps, terminal), count in cases.items():
        zeros = np.zeros((steps, 11), np.float32), np.zeros((steps, 3), np.float32)
        rollout = Rollout(*zeros, np.ones(steps, np.float32), terminal)
        found = compare(algorithm, one, rollout, algorithm.learned_reward(one))
        assert [len(x) for x in found] == [count, count]
    np.testing.assert_allclose(discounted_returns(np.ones(3), 0.5), [1.75, 1.5, 1.0])


@pytest.mark.long
def test_fine_tuning_has_a_discount_of_its_own(hopper_random, tmp_path):
    """SPOT's critics learn with `online_discount` there, and not before."""
    settings = {"online_discount": 0.5, "reward_shift": -1.0, "steps": 4}
    offline, fine_tuned = (
        train_plan(tiny_plan("spot", **settings, **more), hopper_random, tmp_path / str(i))
        for i, more in enumerate(({}, {"online_steps": 20, "online_block": 20}))
    )
    for path, discount in ((offline, 0.99), (fine_tuned, 0.5)):
        _, _, algorithm, state, position = trained.load_state(path)
        step = position["global_step"]
        (rollout,) = play(algorithm, state, "hopper", seeds=(0,), step=step, episodes=1)[0]
        assert rollout.terminal
        reward, steps = rollout.reward - 1.0, len(rollout.reward)
        expected = [discount ** np.arange(steps - t) @ reward[t:] for t in range(steps)]
        (row,) = q_errors(path, episodes=1)
        np.testing.assert_allclose(row["return_"], np.mean(expected), rtol=1e-5)


def test_the_command(run, hopper_random, tmp_path):
    answer = CliRunner().invoke(main, ["evaluate", str(run), "--episodes", "1", "--q-error"])
    assert answer.exit_code == 0 and "too high" in answer.output, answer.output
    words = ["evaluate", str(run), "--episodes", "1", "--q-error"]
    narrow = CliRunner().invoke(main, words, env={"COLUMNS": "40"}).output
    assert max(map(len, narrow.splitlines())) <= 40, narrow
    assert "score" in narrow and "No room for episodes" in narrow and "MSE" in narrow
    cloned = train_plan(tiny_plan("bc", steps=1), hopper_random, tmp_path / "bc")
    with pytest.raises(RunError, match="'bc' has no critic"):
        q_errors(cloned)


def test_distances_of_states_against_a_loop(run, hopper_random):
    (first, second) = state_distances(run, hopper_random, episodes=1)
    assert (first["seed"], second["seed"]) == (0, 4) and first["data_p99"] == second["data_p99"]
    assert 0 < first["median"] <= first["p99"] and 0 <= first["beyond"] <= 1
    known, own = recorded(hopper_random, 0.1)
    assert len(known) + len(own) <= hopper_random.rows and 0.05 < len(own) / len(known) < 0.2
    expected = [min(np.linalg.norm(x - y) for y in known[:500]) for x in own[:5]]
    np.testing.assert_allclose(nearest(own[:5], known[:500]), expected, rtol=1e-5)
    assert compare_distances(np.array([1.0, 9.0]), np.array([2.0, 2.0]))["beyond"] == 0.5
    answer = CliRunner().invoke(main, ["evaluate", str(run), "--episodes", "1", "--distance"])
    assert answer.exit_code == 0 and "nearest recorded state" in answer.output
