"""The contract of `shared.testing` for every algorithm and ablation, and what ours add to it."""

import jax
import numpy as np
import optax
import pytest
from long import long_but
from micro_plans import CONTROLS, SARSA, VALUED, WITHIN, micro_plan
from tiny import cases

from shared.runs import registry
from shared.testing import contract, micro
from shared.testing.contract import CAPACITY, SEEDS, Material, leaves, play
from shared.training import program
from shared.training.chunked import Chunked, ChunkedState

__all__ = ["leaves", "observations_of", "play", "run"]

PLAIN = list(registry.algorithms("cnf"))
"""Without the ablations, which differ from them in few lines."""
ALONE = ["cnf", "td3bc", "dt"]
"""Compiled for one seed as well: one with an encoder, an actor-critic, a sequence model."""
FROZEN = {"brac-v": {"clone"}, "onestep": {"clone", "critic", "target_critic"}}
"""What the last phase of an algorithm leaves alone on purpose."""
COSTLY = {"dt": 200}
"""Updates of a micro-MDP where an update takes long; the others have `UPDATES`."""
UPDATES = 500


def run(plan, data, *, chunk, seeds=None, state=None):
    """All phases of a plan, `chunk` updates a call; the algorithm and its final state."""
    algorithm, material = plan.build(), Material(data.to_device(), data.spec)
    options = {"chunk": chunk, "seeds": seeds or plan.seeds, "state": state}
    return algorithm, contract.run(algorithm, material, **options)


def observations_of(data, count=16):
    """The first observations of the data, and a key for each."""
    keys = jax.random.split(jax.random.key(0), count)
    return jax.numpy.asarray(data.transitions.observation[:count]), keys


@pytest.fixture(params=long_but(cases(), *PLAIN), scope="module")
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def trained(name):
    """All phases of one algorithm or ablation, as many updates a call as there are."""
    return contract.trained(micro_plan(name).build(), micro.material())


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__[6:])
def test_the_contract(trained, check):
    check(trained)


@pytest.mark.parametrize("name", ALONE, indirect=True)
def test_a_vmapped_seed_equals_a_single_one(trained):
    contract.check_a_vmapped_seed_equals_a_single_one(trained)


@pytest.fixture(scope="module")
def history(trained):
    """The states around each of 4 updates of the last phase; of chunks, what is inside."""
    algorithm, (dataset, spec), keys = trained.algorithm, trained.material, program.seed_keys(SEEDS)
    state, index = program.init_state(algorithm, spec, SEEDS), len(algorithm.phases()) - 1
    states = [jax.device_get(state)]
    for step in range(4):
        state, _ = program.run_updates(
            algorithm, index, CAPACITY, state, dataset, keys, step, 1, view=None
        )
        states.append(jax.device_get(state))
    return [x.member if isinstance(x, ChunkedState) else x for x in states]


def inside(algorithm):
    """What learns, where it learns of chunks."""
    return algorithm.algorithm if isinstance(algorithm, Chunked) else algorithm


@pytest.mark.parametrize("name", PLAIN, indirect=True)
def test_targets_follow_at_every_update_that_they_should(trained, name, history):
    """Not once a compiled call, and not with the wrong rate."""
    algorithm, frozen = inside(trained.algorithm), FROZEN.get(name, set())
    delay = getattr(algorithm, "policy_delay", 1)
    for name in (x for x in history[0]._fields if x.startswith("target_")):
        for step in range(4):
            old, new = getattr(history[step], name), getattr(history[step + 1], name)
            online = getattr(history[step + 1], name.removeprefix("target_")).model
            moves = step % delay == 0 and name not in frozen
            tau = algorithm.tau if moves else 0.0
            for t, o, n in zip(*map(jax.tree.leaves, (old, online, new)), strict=True):
                np.testing.assert_allclose(n, (1 - tau) * t + tau * o, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", PLAIN, indirect=True)
def test_a_pretrained_encoder_stays_frozen(history):
    before, after = history[0], history[-1]
    for name in ("pretraining", "latent_space") if hasattr(before, "pretraining") else ():
        pair = (jax.tree.leaves(getattr(state, name)) for state in (before, after))
        for x, y in zip(*pair, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", PLAIN, indirect=True)
def test_a_step_is_one_update_of_the_critics(trained, name, history):
    """`steps: 1000000` are neither two million critic updates nor half a million."""
    algorithm, frozen = inside(trained.algorithm), FROZEN.get(name, set())
    delay = getattr(algorithm, "policy_delay", 1)
    learners = {x: getattr(history[-1], x) for x in history[-1]._fields}
    learners = {x: y for x, y in learners.items() if hasattr(y, "opt_state")}
    for name, learner in learners.items():
        counts = optax.tree_utils.tree_get_all_with_path(learner.opt_state, "count")
        expected = 0 if name in frozen else 4 if name == "critic" else 4 // delay
        assert {int(x) for _, count in counts for x in count} == {expected}, name


@pytest.mark.parametrize("name", PLAIN, indirect=True)
def test_micro_mdps_with_known_answers(name, trained):
    """By the program of the contract: terminals, time limits, a chain, a gap in the support."""
    subject = micro.learned(trained.algorithm, updates=COSTLY.get(name, UPDATES))
    if name in VALUED:
        micro.check_ends(subject)
        micro.check_chain_values(subject)
    if name in SARSA:
        micro.check_ends(subject, timeout=False)
    if name == "onestep":
        known = {(micro.FAR, 1): 1.375, (micro.FAR, -1): 0.125, (micro.NEAR, 1): 0.375}
        micro.check_chain_values(subject, known=known)
    if name == "bc":
        # The mean of two sides is in the gap.
        assert (abs(micro.actions(subject)) < 0.3).all()
    else:
        micro.check_chain_policy(subject)
    if name in WITHIN:
        micro.check_support(subject)
    if name in CONTROLS:
        with pytest.raises(AssertionError, match="lie outside"):
            micro.check_support(subject)
