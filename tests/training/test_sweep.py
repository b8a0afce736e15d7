"""A value in the state means what it means in the configuration: on an algorithm of one number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shared.algorithm import AbstractAlgorithm, Phase, hyperparameter
from shared.runs.members import combinations
from shared.training import program
from shared.training.seeds import of_seed
from shared.training.sweep import Sweep, SweptState, name_of
from shared.types import Spec

SPEC = Spec((2,), 1, np.zeros(2, np.float32), np.ones(2, np.float32), np.zeros(2, np.float32))


class Grow(AbstractAlgorithm):
    """x -> rate · x + batch, from `shift` on; doubled in the end."""

    rate: float = hyperparameter("factor of an update")
    shift: float = hyperparameter("where x starts")
    steps: int = hyperparameter("updates")

    title = "growth"
    paper = "none"

    def init(self, spec, *, key):
        return jnp.zeros(())

    def phases(self):
        def update(x, batch, *, key):
            return self.rate * x + batch, {"x": x}

        return (
            Phase(
                "grow",
                self.steps,
                lambda dataset, *, key: jax.random.choice(key, dataset),
                update,
                refresh=lambda x, dataset, *, key: (x, {"rate": jnp.asarray(self.rate)}),
                start=lambda x, dataset, *, key: x + self.shift,
                finish=lambda x, dataset, *, key: 2 * x,
            ),
        )

    def act(self, state, memory, observation, *, key):
        return jnp.tanh(self.rate * state)[None], memory


def trained(algorithm, state, seeds):
    """Final state and the metrics of the refresh."""
    data, keys, metrics = jnp.arange(5.0), program.seed_keys(seeds), {}
    state, _ = program.run_event(algorithm, 0, program.START, state, data, keys, 0)
    state, _ = program.run_updates(algorithm, 0, 3, state, data, keys, 0, 3)
    state, metrics = program.run_event(algorithm, 0, program.REFRESH, state, data, keys, 3)
    return program.run_event(algorithm, 0, program.FINISH, state, data, keys, 3)[0], metrics


def test_members_equal_runs_with_the_same_values():
    values = combinations({"rate": [0.5, 1.5], "shift": [1.0, 3.0]})
    assert [name_of(v) for v in values][1:3] == ["rate=0.5,shift=3", "rate=1.5,shift=1"]
    seeds = (4,) * len(values)
    sweep = Sweep(algorithm=Grow(rate=9.0, shift=9.0, steps=3), names=("rate", "shift"))
    state = program.init_state(sweep, SPEC, seeds)
    state = SweptState(jnp.asarray([list(v.values()) for v in values]), state.member)
    state, metrics = trained(sweep, state, seeds)
    np.testing.assert_array_equal(metrics["rate"], [0.5, 0.5, 1.5, 1.5])
    observation = jnp.zeros(2)
    for i, value in enumerate(values):
        alone = Grow(**value, steps=3)
        expected, _ = trained(alone, program.init_state(alone, SPEC, (4,)), (4,))
        assert float(state.member[i]) == pytest.approx(float(expected[0]), rel=1e-6)
        one = of_seed(state, i)
        action, _ = sweep.act(one, (), observation, key=None)
        expected, _ = alone.act(expected[0], (), observation, key=None)
        np.testing.assert_allclose(action, expected, rtol=1e-6)
    assert len({float(x) for x in state.member}) == len(values)
