"""Fitted Q evaluation on problems whose values are known."""

import numpy as np
import pytest

from shared.choice.estimate import Evaluator
from shared.choice.policy_rows import completed_returns
from shared.datasets.frames import from_transitions
from shared.testing import micro
from shared.types import Transition

SMALL = {"start_steps": 200, "steps": 800, "batch_size": 128, "members": 4}
SMALL |= {"hidden_sizes": (32, 32), "learning_rate": 3e-3, "tau": 0.1}
TRUE = {
    # At the starts: near, terminal, timeout, bandit.  60 episodes begin in each.
    0.65: (1.0, 1.0, 2.0, 3 * (1 - 0.65)),
    -0.65: (0.0, 1.0, 1.0, 1.5 - 3 * 0.65),
}
"""Values by hand of the policy that always takes this action, discount 0.5."""


@pytest.fixture(scope="module")
def evaluator():
    data, spec = micro.material()
    rows = Transition(*(np.asarray(x) for x in data.transitions))
    frames = from_transitions(rows, np.asarray(data.episodes.number))
    return Evaluator(frames, spec, micro.DISCOUNT, **SMALL)


@pytest.mark.parametrize("action", TRUE)
def test_the_value_of_a_policy_lies_within_its_interval(evaluator, action):
    """A terminal masks what follows, a time limit does not, and the data's value is neither."""
    found = evaluator(np.full_like(evaluator.frames.action, action))
    low, high = found.interval
    assert low <= np.mean(TRUE[action]) <= high
    assert high - low < 0.35 and found.spread < 0.1


def test_cut_episodes_go_on_at_the_mean_and_ended_ones_do_not():
    reward, terminal = np.array([1.0, 1.0, 2.0]), np.array([False, False, True])
    episode = np.array([0, 0, 1])
    # v = (1 + 0.5 + 0.25 v + 1 + 0.5 v + 2) / 3  =>  v = 2
    found = completed_returns(reward, terminal, episode, 0.5)
    np.testing.assert_allclose(found, [2.0, 2.0, 2.0])
    alone = completed_returns(reward, np.ones(3, bool), episode, 0.5)
    np.testing.assert_allclose(alone, [1.0, 1.0, 2.0])  # each row ends for good
