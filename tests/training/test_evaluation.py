"""The evaluation beside training: one that nobody waits for ends at once."""

import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from tiny import tiny_plan

from shared.environments.rendering import FAST, Pixels
from shared.record.schema import MODES
from shared.training import program
from shared.training.evaluation import BackgroundEvaluator, evaluate
from shared.training.lockstep import Lockstep, lockstep
from shared.types import Spec


@pytest.fixture(scope="module")
def policy(hopper_random):
    algorithm = tiny_plan("bc").build()
    return algorithm, program.init_state(algorithm, hopper_random.spec, (0,))


def test_closing_drops_an_evaluation_that_runs():
    """After Ctrl-C its episodes would be played to their end for nothing."""
    algorithm = tiny_plan("bc").build()
    state = program.init_state(algorithm, Spec.blank((17,), 6), (0,))
    evaluator = BackgroundEvaluator(algorithm, "halfcheetah", (0,), episodes=1)
    evaluator.submit(state, 0, {})
    ((_, future),) = evaluator._pending
    while not future.running():
        time.sleep(0.01)
    evaluator.close()
    with pytest.raises(CancelledError):
        future.result(timeout=0)


def test_it_is_asked_before_every_step(policy):
    algorithm, state = policy
    asked = []

    def is_over():
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(CancelledError):
        evaluate(algorithm, state, "hopper", seeds=(0,), step=0, episodes=1, is_over=is_over)
    assert len(asked) == 4


def test_seeds_and_episodes_that_take_turns_have_the_same_rows(hopper_random, monkeypatch):
    """As from pixels, where the simulators of one seed serve all, and of a robot arm."""
    algorithm = tiny_plan("bc").build()
    state = program.init_state(algorithm, hopper_random.spec, (0, 1))
    found, watched = [], []
    for size in (Lockstep(2, 2), Lockstep(1, 2), Lockstep(1, 1)):
        monkeypatch.setattr("shared.training.evaluation.lockstep", lambda *_, size=size: size)
        evaluator = BackgroundEvaluator(algorithm, "hopper", (0, 1), episodes=2)
        assert len(evaluator._simulators) == size.simulators(MODES)
        evaluator.submit(state, 3, {})
        found += evaluator.finished(wait=True)
        evaluator.close()
        rewards = [0.0] * 8
        watched.append(rewards)

        def watch(i, observation, action, reward, terminal, rewards=rewards):
            rewards[i] += reward

        more = {"seeds": (0, 1), "step": 3, "episodes": 2, "watch": watch}
        rows = evaluate(algorithm, state, "hopper", **more)
        assert [row["return"] for row in rows] == rewards
    (_, whole), *others = found
    assert [row["seed"] for row in whole] == [0] * 4 + [1] * 4
    assert [row["episode"] for row in whole] == [0, 1] * 4
    for _, rows in others:
        for key in ("seed", "mode", "episode", "length"):
            assert [row[key] for row in rows] == [row[key] for row in whole]
        returns = [[row["return"] for row in each] for each in (rows, whole)]
        np.testing.assert_allclose(*returns, rtol=1e-4)


class Bytes:
    """A simulator of one step whose states are small whole numbers."""

    def reset(self, seed):
        return np.full(11, 200, np.uint8), {}

    def step(self, action):
        return np.full(11, 201, np.uint8), 1.0, True, False, {}


def test_whatever_numbers_a_simulator_has_a_policy_sees_float32(policy):
    algorithm, state = policy
    seen = []
    more = {"episodes": 1, "watch": lambda i, observation, *_: seen.append(observation)}
    simulators = [Bytes(), Bytes()]
    evaluate(algorithm, state, "hopper", seeds=(0,), step=0, simulators=simulators, **more)
    assert [x.dtype for x in seen] == [np.float32] * 2 and seen[0][0] == 200


def test_the_mode_alone_is_scored_as_beside_samples(policy):
    algorithm, state = policy
    more = {"seeds": (0,), "step": 3, "episodes": 2}
    both = evaluate(algorithm, state, "hopper", **more)
    mode = evaluate(algorithm, state, "hopper", sampled=False, **more)
    beside = [row for row in both if row["mode"] == "deterministic"]
    assert len(mode) == 2 and len(both) == 4
    for one, other in zip(mode, beside, strict=True):
        assert one == {key: pytest.approx(value) for key, value in other.items()}


def test_simulators_that_take_much_memory_are_few():
    assert lockstep("hopper", 4, 25) == (4, 25)
    assert lockstep(None, 4, 25) == (4, 25)
    assert lockstep("walker_walk", 4, 10) == (4, 10)
    assert lockstep("walker_walk", 12, 20) == (1, 20)
    assert lockstep("cube-single-play", 4, 25) == (1, 5)
    assert lockstep("scene-play", 2, 7) == (1, 1)
    assert lockstep("pointmaze-medium-navigate", 2, 50) == (2, 50)
    assert lockstep("walker_walk", 4, 5, Pixels(64, FAST)) == (1, 5)
