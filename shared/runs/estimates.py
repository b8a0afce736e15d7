"""What a run will cost, before it is trained: operations of its updates, time and memory.

Operations are those of the matrix products in the traced program of one update, time is
theirs at the rate that this device reaches in a product of common shape, times
`OVERHEAD`.  Nothing is compiled but that one product, so these are estimates.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import Phase
from shared.datasets.rows import make_dataset, spec_of
from shared.environments.tasks import Environment
from shared.models.products import changed_p, outer_p, rows_p
from shared.runs.plan import Plan
from shared.training import program
from shared.types import Transition

OVERHEAD = 2.0
"""Time of an update in times of its products: updates measured on a CPU took 1.5 to 2.5."""


class Costs(NamedTuple):
    """Of one run, whatever the device and the length of the data.

    Attributes:
        operations: of the matrix products of all updates.
        state_bytes: parameters, optimizers and all else that training remembers.
        row_bytes: of one row of data on the device, and as it is read on the host.
    """

    operations: float
    state_bytes: int
    row_bytes: tuple[float, float]

    def seconds(self, rate: float) -> float:
        """Of all updates at `rate` operations a second; no compilation, no evaluation."""
        return OVERHEAD * self.operations / rate

    def memory(self, rows: int) -> tuple[int, int]:
        """Bytes on device and host, without the intermediates of an update."""
        device, host = (round(rows * size) for size in self.row_bytes)
        return self.state_bytes + device, host


def costs(plan: Plan, environment: Environment) -> Costs:
    """What the run of `plan` costs."""
    transitions, episode = _stand_in(environment)
    dataset = make_dataset(transitions, episode)
    spec = spec_of(transitions, np.ones(2))
    algorithm, seeds = plan.build(), plan.seeds
    state = program.state_shapes(algorithm, spec, seeds)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), state)
    operations = 0.0
    for phase in program.phases_of(algorithm, plan.settings.online_steps):
        if phase.steps:
            operations += phase.steps * update_flops(phase, one, dataset)
    host = sum(x.nbytes for x in transitions)
    row_bytes = _bytes(dataset) / len(episode), host / len(episode)
    return Costs(operations * len(seeds), _bytes(state), row_bytes)


def shapes_of(plan: Plan, environment: Environment) -> tuple:
    """Equal for runs that cost the same: sizes, and every setting but the values of floats."""

    def shape(value):
        return ("float", value == 0) if isinstance(value, float) else value

    settings = ((name, shape(value)) for name, value in plan.hyperparameters.items())
    sizes = environment.observation_size, environment.action_size
    return (plan.algorithm, plan.seeds, plan.settings.online_steps, *sizes, *settings)


def _stand_in(environment: Environment) -> tuple[Transition, np.ndarray]:
    """A data set of the right sizes, of two episodes without content."""
    rows, n = 2 * 512, environment.observation_size
    observation = np.zeros((rows, n), np.float32)
    action = np.zeros((rows, environment.action_size), np.float32)
    reward, terminal = np.zeros(rows, np.float32), np.zeros(rows, bool)
    transitions = Transition(observation, action, reward, terminal, observation)
    return transitions, np.repeat(np.arange(2), rows // 2)


def _bytes(tree) -> int:
    sizes = (x.size * jnp.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree) if _is_plain(x))
    return sum(sizes)


def _is_plain(x) -> bool:
    return hasattr(x, "dtype") and not jnp.issubdtype(x.dtype, jax.dtypes.extended)


def update_flops(phase: Phase, state, dataset) -> float:
    """Operations of the matrix products of one update of one seed, from the traced program.

    `state` may be shapes alone.
    """

    def update(state, dataset, key):
        step = {"step": 1} if phase.takes_step else {}
        return phase.update(state, phase.draw(dataset, key=key), key=key, **step)

    return product_flops(jax.make_jaxpr(update)(state, dataset, jax.random.key(0)).jaxpr)


def product_flops(traced) -> float:
    """2 · m · n · k of every product in a program, bodies of scans as often as they run."""
    total = 0.0
    for equation in traced.eqns:
        if equation.primitive.name == "cond":  # an update that is due now and then: its average
            branches = [product_flops(branch.jaxpr) for branch in equation.params["branches"]]
            total += sum(branches) / len(branches)
            continue
        if equation.primitive.name == "dot_general":
            contracted = equation.params["dimension_numbers"][0][0]
            shape = equation.invars[0].aval.shape
            depth = 1
            for axis in contracted:
                depth *= shape[axis]
            total += 2.0 * equation.outvars[0].aval.size * depth
        if equation.primitive in (rows_p, changed_p):
            total += 2.0 * equation.outvars[0].aval.size * equation.invars[0].aval.shape[-1]
        if equation.primitive is outer_p:
            rows = equation.invars[0].aval.size // equation.invars[0].aval.shape[-1]
            total += 2.0 * equation.outvars[0].aval.size * rows
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += times * product_flops(inner)
    return total


def product_rate(seconds: float = 0.3) -> float:
    """Operations a second of a float32 product of 512 × 256 × 256 on the default device."""
    a = jax.random.normal(jax.random.key(0), (512, 256))
    b = jax.random.normal(jax.random.key(1), (256, 256)) / 16
    product = jax.jit(lambda a, b: jax.lax.fori_loop(0, 50, lambda _, a: a @ b, a))
    jax.block_until_ready(product(a, b))
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        jax.block_until_ready(product(a, b))
        calls += 1
    return calls * 50 * 2 * 512 * 256 * 256 / spent
