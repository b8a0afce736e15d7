"""The evaluation beside training: one that nobody waits for ends at once."""

import time
from concurrent.futures import CancelledError

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
