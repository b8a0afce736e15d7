"""The evaluation beside training: one that nobody waits for ends at once."""

import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from tiny import tiny_plan

from shared.training import program
from shared.training.evaluation import BackgroundEvaluator, evaluate
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


def test_seeds_that_take_turns_have_the_same_rows(hopper_random):
    """As from pixels, where the simulators of one seed serve all."""
    algorithm = tiny_plan("bc").build()
    state = program.init_state(algorithm, hopper_random.spec, (0, 1))
    found = []
    for together in (2, 1):
        evaluator = BackgroundEvaluator(algorithm, "hopper", (0, 1), episodes=1)
        evaluator._together = together
        evaluator._play.keywords["simulators"] = evaluator._simulators[: 2 * together]
        evaluator.submit(state, 3, {})
        found += evaluator.finished(wait=True)
        evaluator.close()
    (_, side_by_side), (_, in_turn) = found
    assert [row["seed"] for row in in_turn] == [0, 0, 1, 1]
    for key in ("seed", "mode", "episode", "length"):
        assert [row[key] for row in side_by_side] == [row[key] for row in in_turn]
    returns = [[row["return"] for row in rows] for rows in (side_by_side, in_turn)]
    np.testing.assert_allclose(*returns, rtol=1e-4)
