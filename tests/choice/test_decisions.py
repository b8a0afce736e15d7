"""A policy with a memory is asked what it would do along episodes that others recorded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from tiny import tiny_plan

from shared.algorithm import AbstractAlgorithm
from shared.choice import decisions as module
from shared.choice.decisions import decisions
from shared.datasets.frames import from_transitions
from shared.runs.plan import make_plan
from shared.training import program
from shared.training.seeds import of_seed
from shared.types import Spec, Transition

LENGTHS = (3, 1, 5, 2)


class Remembering(AbstractAlgorithm):
    """Its action sums up all that it was shown: observations, recorded actions and rewards."""

    title = "sum"
    paper = "none"

    def init(self, spec, *, key):
        return jnp.ones(())

    def phases(self):
        return ()

    def initial_memory(self, state):
        return jnp.zeros(2)

    def act(self, state, memory, observation: Float[Array, "observation"], *, key):
        sums = memory + jnp.stack([observation[0], 1000.0])  # took() replaces the own action
        return sums, sums

    def took(self, memory, action):
        return memory.at[1].add(action[1] - 1000.0)

    def rewarded(self, memory, reward):
        return memory.at[0].add(100 * reward)


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    episode = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    rows = len(episode)
    observation = rng.uniform(-1, 1, (rows + 1, 11)).astype(np.float32)
    return from_transitions(
        Transition(
            observation[:-1],
            rng.uniform(-1, 1, (rows, 2)).astype(np.float32),
            rng.uniform(size=rows).astype(np.float32),
            np.zeros(rows, bool),
            observation[1:],
        ),
        episode,
    )


def test_memory_follows_what_was_recorded(frames, monkeypatch):
    monkeypatch.setattr(module, "SIDE_BY_SIDE", 3)
    monkeypatch.setattr(module, "ROUNDED_TO", 4)
    found = decisions(Remembering(), jnp.ones(()), frames)
    for number, length in enumerate(LENGTHS):
        own = np.flatnonzero(frames.episode == number)
        assert len(own) == length + 1  # the last observation of an episode is asked about, too
        shown = np.cumsum(frames.state[own, 0])
        before = np.append(0, np.cumsum(frames.reward[own])[:-1])
        np.testing.assert_allclose(found[own, 0], shown + 100 * before, rtol=1e-5)
        taken = np.append(0, np.cumsum(frames.action[own, 1])[:-1])
        np.testing.assert_allclose(found[own, 1], taken + 1000, rtol=1e-5)


@pytest.mark.parametrize("name", ["dt", "clap"])
def test_what_was_taken_counts_in_a_real_memory(name):
    """The next action depends on the action that was recorded, not on the one it would take."""
    if name == "dt":
        algorithm = tiny_plan("dt").build()
    else:
        small = {"hidden_sizes": [16, 16], "deterministic": 8, "stochastic": 4}
        algorithm = make_plan("clap", "clap", "hopper-random", overrides=small).build()
    spec = Spec.blank((11,), 3)._replace(observation_std=np.ones(11, np.float32))
    state = of_seed(program.init_state(algorithm, spec, (0,)), 0)

    @jax.jit
    def second(taken):
        memory = algorithm.initial_memory(state)
        own, memory = algorithm.act(state, memory, jnp.ones(11), key=None)
        memory = algorithm.took(memory, jnp.where(jnp.isnan(taken), own, taken))
        memory = algorithm.rewarded(memory, jnp.ones(()))
        return algorithm.act(state, memory, jnp.ones(11), key=None)[0]

    one, other = second(jnp.full(3, 0.9)), second(jnp.full(3, -0.9))
    assert np.abs(one - other).max() > 1e-6
