"""Faults seen in other people's code, looked for in every registered algorithm."""

import jax
import numpy as np
import optax
import pytest
from tiny import tiny_plan

from shared import registry
from shared.training import program

FROZEN = {"brac-v": {"clone"}, "onestep": {"clone", "critic", "target_critic"}}
"""What the last phase of an algorithm leaves alone on purpose."""


@pytest.fixture(scope="module", params=list(registry.algorithms("cnf")))
def history(request, hopper_random):
    """Frozen names, algorithm, and its states around each of 4 updates of the last phase."""
    algorithm = tiny_plan(request.param).build()
    dataset, keys = hopper_random.to_device(), program.seed_keys((0, 5))
    state = program.init_state(algorithm, hopper_random.spec, (0, 5))
    index = len(algorithm.phases()) - 1
    states = [jax.device_get(state)]
    for step in range(4):
        state, _ = program.run_updates(algorithm, index, 12, state, dataset, keys, step, 1)
        states.append(jax.device_get(state))
    return FROZEN.get(request.param, set()), algorithm, states


def test_targets_follow_at_every_update_that_they_should(history):
    """Not once a compiled call, and not with the wrong rate."""
    frozen, algorithm, states = history
    delay = getattr(algorithm, "policy_delay", 1)
    for name in (x for x in states[0]._fields if x.startswith("target_")):
        for step in range(4):
            old, new = getattr(states[step], name), getattr(states[step + 1], name)
            online = getattr(states[step + 1], name.removeprefix("target_")).model
            moves = step % delay == 0 and name not in frozen
            tau = algorithm.tau if moves else 0.0
            for t, o, n in zip(*map(jax.tree.leaves, (old, online, new)), strict=True):
                np.testing.assert_allclose(n, (1 - tau) * t + tau * o, rtol=1e-5, atol=1e-7)


def test_a_step_is_one_update_of_the_critics(history):
    """`steps: 1000000` are neither two million critic updates nor half a million."""
    frozen, algorithm, states = history
    delay = getattr(algorithm, "policy_delay", 1)
    learners = {x: getattr(states[-1], x) for x in states[-1]._fields}
    learners = {x: y for x, y in learners.items() if hasattr(y, "opt_state")}
    for name, learner in learners.items():
        counts = optax.tree_utils.tree_get_all_with_path(learner.opt_state, "count")
        expected = 0 if name in frozen else 4 if name == "critic" else 4 // delay
        assert {int(x) for _, count in counts for x in count} == {expected}, name
