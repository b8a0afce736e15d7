"""What a run will cost, before it is trained: operations of its updates, time and memory.

Operations are those of the matrix products in the traced program of one update, time is
theirs at the rate that this device reaches in a product of common shape, times
`OVERHEAD`.  Nothing is compiled but that one product, so these are estimates.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import Phase
from shared.datasets.frame_data import FrameData
from shared.datasets.frames import Frames
from shared.datasets.row_data import RowData
from shared.environments.tasks import Environment
from shared.models.products import changed_p, outer_p, rows_p
from shared.runs.plan import Plan
from shared.runs.temporaries import peak_bytes
from shared.training import program
from shared.training.views import Source, shape_of
from shared.types import Spec, Transition

LENGTH = 512
"""Rows, or frames, of an episode of the stand-in that is traced."""
SLACK = 1.5
"""Temporaries of a compiled update in times of `peak_bytes`: XLA took 1.4 and 1.75 of pixels."""
OVERHEAD = 2.0
"""Time of an update in times of its products: updates measured on a CPU took 1.5 to 2.5."""


class Costs(NamedTuple):
    """Of one run, whatever the device and the length of the data.

    Attributes:
        phases: name and updates of each, and the operations of all its matrix products.
        state_bytes: parameters, optimizers and all else that training remembers.
        row_bytes: of one row of data on the device, and as it is read on the host.
    """

    phases: tuple[tuple[str, int, float], ...]
    state_bytes: int
    row_bytes: tuple[float, float]

    @property
    def operations(self) -> float:
        """Of the matrix products of all updates."""
        return sum(operations for _, _, operations in self.phases)

    def seconds(self, rate: float) -> float:
        """Of all updates at `rate` operations a second; no compilation, no evaluation."""
        return OVERHEAD * self.operations / rate

    def memory(self, rows: int) -> tuple[int, int]:
        """Bytes on device and host, without the intermediates of an update."""
        device, host = (round(rows * size) for size in self.row_bytes)
        return self.state_bytes + device, host


_TRACED: dict[tuple, Costs] = {}


def costs_of_task(plan: Plan, environment: Environment) -> Costs:
    """`costs` of a known task, traced once for all runs that cost the same."""
    key = shapes_of(plan, environment)
    if key not in _TRACED:
        _TRACED[key] = costs(plan, environment)
    return _TRACED[key]


def costs(plan: Plan, sizes: Environment | Spec) -> Costs:
    """What the run of `plan` costs, on states or on pixels, of a task or data of these sizes."""
    data = stand_in(plan, sizes)
    frames = data.pixels is not None
    dataset = data.to_device(**({"where": "device"} if frames else {}))
    state = program.state_shapes(plan.build(), data.spec, plan.seeds)
    phases = []
    for phase, one, source in updates(plan, data, dataset):
        operations = phase.steps * update_flops(phase, one, source) * len(plan.seeds)
        phases.append((phase.name, phase.steps, operations))
    units = data.rows + len(data.episode_returns) if frames else data.rows
    row_bytes = _bytes(dataset) / units, _host_bytes(data) / units
    return Costs(tuple(phases), _bytes(state), row_bytes)


def updates(plan: Plan, data: FrameData | RowData, dataset) -> Iterator[tuple[Phase, Any, Source]]:
    """Every phase that has updates, with the shapes of one seed's state and the data it sees."""
    algorithm = plan.build()
    state = program.state_shapes(algorithm, data.spec, plan.seeds)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), state)
    for index, phase in enumerate(program.phases_of(algorithm, plan.settings.online_steps)):
        if phase.steps:
            seen = Source(dataset) if phase.view is None else _seen(algorithm, index, dataset, one)
            yield phase, one, seen


_HELD: dict[tuple, int] = {}


def temporaries(plan: Plan, sizes: Environment | Spec) -> int:
    """Bytes that the largest update of one seed holds besides state and data."""
    key = shapes_of(plan, sizes)
    if key not in _HELD:
        data = stand_in(plan, sizes)
        dataset = data.to_device(**({} if data.pixels is None else {"where": "device"}))
        held = (
            peak_bytes(_update(phase), one, *source, jax.random.key(0))
            for phase, one, source in updates(plan, data, dataset)
        )
        _HELD[key] = round(SLACK * max(held, default=0))
    return _HELD[key]


def forecast(plans: Sequence[Plan], spec: Spec) -> str:
    """How long these runs will take on this device, phase by phase, as a sentence."""
    rate, seconds = product_rate(), {}
    for plan in plans:
        for name, updates, operations in costs(plan, spec).phases:
            known = seconds.get((name, updates), 0.0)
            seconds[name, updates] = known + OVERHEAD * operations / rate
    if not seconds:
        return "nothing is left to train; the model that was taken over acts, and is scored"
    parts = (f"{updates:,} of {name} {duration(s)}" for (name, updates), s in seconds.items())
    runs = "" if len(plans) == 1 else f" for {len(plans)} runs"
    return (
        f"training takes about {duration(sum(seconds.values()))}{runs}: updates {', '.join(parts)} "
        "(an estimate, without compiling and scoring)"
    )


def duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seen(algorithm, index: int, dataset, one) -> Source:
    """The view of one seed, as shapes alone."""
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), one)
    places, view = shape_of(algorithm, index, state, dataset)
    assert view is not None
    return Source(places, jax.ShapeDtypeStruct(view.shape[1:], view.dtype))


def shapes_of(plan: Plan, environment: Environment | Spec) -> tuple:
    """Equal for runs that cost the same: sizes, and every setting but the values of floats."""

    def shape(value):
        return ("float", value == 0) if isinstance(value, float) else value

    settings = ((name, shape(value)) for name, value in plan.hyperparameters.items())
    sizes = environment.observation_size, environment.action_size
    seen = plan.settings.observation, plan.settings.frame_size
    return (plan.algorithm, plan.seeds, plan.settings.online_steps, *seen, *sizes, *settings)


def stand_in(plan: Plan, sizes: Environment | Spec, length: int = LENGTH) -> FrameData | RowData:
    """A data set of the right sizes, of two episodes of `length` without content."""
    size, action_size = plan.settings.frame_size, sizes.action_size
    if isinstance(sizes, Spec) and sizes.is_pixels:
        size = sizes.observation_shape[0]
    episode, about = np.repeat(np.arange(2), length), {"name": "", "path": Path(), "sha256": ""}
    about |= {"source": "yours", "environment": None, "attributes": {}}
    about |= {"episode_returns": np.zeros(2), "episode_lengths": np.full(2, length)}
    about |= {"episode_finished": np.ones(2, bool)}
    reward, terminal = np.zeros(2 * length, np.float32), np.zeros(2 * length, bool)
    action = np.zeros((2 * length, action_size), np.float32)
    if plan.settings.observation == "pixels":
        image = np.zeros((2 * length, size, size, 3), np.uint8)
        frames = Frames(image, None, action, reward, terminal, episode)
        about["episode_lengths"] = np.full(2, length - 1)  # the last frame has no action
        return FrameData(frames=frames, **about)
    observation = np.zeros((2 * length, sizes.observation_size), np.float32)
    transitions = Transition(observation, action, reward, terminal, observation)
    return RowData(transitions=transitions, episode=episode, **about)


def _host_bytes(data: FrameData | RowData) -> int:
    """Of everything that was read."""
    columns = data.frames if isinstance(data, FrameData) else data.transitions
    return sum(x.nbytes for x in columns if x is not None)


def _bytes(tree) -> int:
    sizes = (x.size * jnp.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree) if _is_plain(x))
    return sum(sizes)


def _is_plain(x) -> bool:
    return hasattr(x, "dtype") and not jnp.issubdtype(x.dtype, jax.dtypes.extended)


def update_flops(phase: Phase, state, source: Source) -> float:
    """Operations of the matrix products of one update of one seed, from the traced program.

    `state` and the source's view may be shapes alone.
    """
    traced = jax.make_jaxpr(_update(phase))(state, source.dataset, source.view, jax.random.key(0))
    return product_flops(traced.jaxpr)


def _update(phase: Phase):
    """One update of one seed, as a function of its state, its data and a key."""

    def update(state, dataset, view, key):
        step = {"step": 1} if phase.takes_step else {}
        seen = program.seen(dataset, view)
        return phase.update(state, phase.draw(seen, key=key), key=key, **step)

    return update


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
