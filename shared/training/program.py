"""The compiled part of training: many updates of all seeds in one call.

Keys are folded from the step number, never threaded, and the number of
updates in a call is an argument of one compiled program, so that chunk size, a
stop and a resume cannot change a bit of the result.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp

from shared.algorithm import Phase, phase_at
from shared.datasets.replay import MixedDataset
from shared.datasets.sequences import SequenceDataset
from shared.training import devices
from shared.training.seeds import copied
from shared.training.views import shape_of
from shared.types import Spec

START, UPDATE, REFRESH, FINISH, EXPLORE = range(5)


def phases_of(algorithm, online_steps: int) -> tuple[Phase, ...]:
    """All phases of a run."""
    if online_steps == 0:
        return algorithm.phases()
    return (*algorithm.phases(), replace(algorithm.online(), steps=online_steps))


def step_key(seed_key, phase_index, step, kind):
    """The key of one event; `kind` separates updates from the phase's other calls."""
    for number in (phase_index, kind, step):
        seed_key = jax.random.fold_in(seed_key, number)
    return seed_key


def update_keys(seed_key, phase_index, step):
    """The keys of one update: of what it draws, and of what it does."""
    return jax.random.split(step_key(seed_key, phase_index, step, UPDATE))


def event_at(algorithm, index: int, kind: int):
    """The `start`, `refresh` or `finish` of phase `index`."""
    phase = algorithm.phases()[index]
    return {START: phase.start, REFRESH: phase.refresh, FINISH: phase.finish}[kind]


def seed_keys(seeds: tuple[int, ...]):
    """One key a seed; leading axis = seeds."""
    return jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))


def _init(algorithm, sizes, statistics, keys):
    spec = Spec(*sizes, *statistics)
    state = jax.vmap(lambda key: algorithm.init(spec, key=key))(keys)
    # A weak type would compile every program twice.
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), state)


# It runs once, and its random numbers take long to optimise: compiled as it stands.
_compiled_init = jax.jit(
    _init,
    static_argnames=("algorithm", "sizes"),
    compiler_options={"xla_backend_optimization_level": 0},
)


def init_state(algorithm, spec: Spec, seeds: tuple[int, ...]):
    """Fresh states of all seeds; leading axis = seeds, strongly typed, no shared buffers."""
    statistics = tuple(map(jnp.asarray, spec[2:]))
    state = _compiled_init(algorithm, spec[:2], statistics, seed_keys(seeds))
    return copied(state)  # a shared buffer cannot be donated twice


def state_shapes(algorithm, spec: Spec, seeds: tuple[int, ...]):
    """Shapes and types of `init_state`, without computing anything."""
    keys = jax.eval_shape(lambda: seed_keys(seeds))
    return _compiled_init.eval_shape(algorithm, spec[:2], tuple(spec[2:]), keys)


def _alone(function, out_axes):
    """A single seed without an axis of its own, which the arguments have and the results get.

    An axis of one would make every matrix product a batched one, whose operands XLA copies
    and transposes on a CPU.
    """

    def call(*arguments):
        results = function(*jax.tree.map(lambda x: x[0], arguments))
        return tuple(
            jax.tree.map(lambda x, axis=axis: jnp.expand_dims(x, axis), result)
            for result, axis in zip(results, out_axes, strict=True)
        )

    return call


def _in_turn(function, out_axes, together, arguments):
    """The same, `together` seeds at a time."""
    several = None if together == 1 else together
    results = jax.lax.map(lambda each: function(*each), arguments, batch_size=several)
    return tuple(
        jax.tree.map(lambda x, axis=axis: jnp.moveaxis(x, 0, axis), result)
        for result, axis in zip(results, out_axes, strict=True)
    )


# Traced once for all who ask what an update does, and inlined: programs are what they would be.
@partial(jax.jit, static_argnames=("algorithm", "index", "mesh"), inline=True)
def one_update(algorithm, index, state, dataset, key, step, replay=None, view=None, *, mesh=None):
    """An update of one seed in phase `index`, as of `run_updates`; `step` is an int32."""
    phase = phase_at(algorithm, index)
    k_draw, k_update = update_keys(key, index, step)
    source = seen(dataset, view)
    source = source if replay is None else MixedDataset(source, replay)
    batch = devices.split(phase.draw(source, key=k_draw), mesh)
    more = {"step": step} if phase.takes_step else {}
    return phase.update(state, batch, key=k_update, **more)


@partial(jax.jit, static_argnames=("algorithm", "index", "kind"), inline=True)
def one_event(algorithm, index, kind, state, dataset, key, step, view=None):
    """The same of `run_event`."""
    function = event_at(algorithm, index, kind)
    result = function(state, seen(dataset, view), key=step_key(key, index, step, kind))
    return result if kind == REFRESH else (result, {})


@partial(
    jax.jit,
    static_argnames=("algorithm", "index", "capacity", "together", "mesh"),
    donate_argnames=("state",),
)
def run_updates(
    algorithm,
    index,
    capacity,
    state,
    dataset,
    keys,
    first,
    count,
    replay=None,
    view=None,
    *,
    together=None,
    mesh=None,
):
    """`count` <= `capacity` updates of phase `index`, from step `first` on.

    Batches come from `dataset`, and from `replay` (leading axis = seeds) too if there is one.
    With a `view` (leading axis = seeds) `dataset` is the `Places` of its frames.  `together`
    seeds are updated side by side, all if None; `mesh` are several devices, see `devices`.

    Returns:
        The new state and the metrics of every update: name -> (capacity, seeds);
        rows from `count` on are zero.
    """

    def of_seed(state, key, step, replay, view):
        step = jnp.asarray(step, jnp.int32)
        return one_update(algorithm, index, state, dataset, key, step, replay, view, mesh=mesh)

    def loop(update, lead, state, keys, replay, view):
        one = (state, keys, replay, view)
        for _ in lead:
            one = _of_one(one)
        shapes = jax.eval_shape(of_seed, *one[:2], first, *one[2:])[1]
        history = jax.tree.map(lambda x: jnp.zeros((capacity, *lead, *x.shape), x.dtype), shapes)

        def body(i, carry):
            state, history = carry
            state, metrics = update(state, keys, first + i, replay, view)
            history = jax.tree.map(lambda all_, new: all_.at[i].set(new), history, metrics)
            return state, history

        return jax.lax.fori_loop(0, count, body, (state, history))

    seeds, arguments = len(keys), (state, keys, replay, view)
    if seeds == 1:
        state, history = _alone(partial(loop, of_seed, ()), (0, 1))(*arguments)
    elif mesh is None and together is not None and together < seeds:
        state, history = _in_turn(partial(loop, of_seed, ()), (0, 1), together, arguments)
    else:
        # The seeds side by side inside of the loop: around it, JAX would trace all that an update
        # does three times, to find out what in its carry has the axis.
        spread = {} if mesh is None else {"spmd_axis_name": devices.SEEDS}
        update = jax.vmap(of_seed, in_axes=(0, 0, None, 0, 0), **spread)
        state, history = loop(update, (seeds,), *arguments)
    return devices.stay(state, mesh), history


@partial(jax.jit, static_argnames=("algorithm", "index", "kind"), donate_argnames=("state",))
def run_event(algorithm, index, kind, state, dataset, keys, step, view=None):
    """The `start`, `refresh` or `finish` of phase `index`; refresh also returns metrics."""
    step = jnp.asarray(step, jnp.int32)

    def one(state, key, view):
        return one_event(algorithm, index, kind, state, dataset, key, step, view)

    return jax.vmap(one)(state, keys, view)


@partial(jax.jit, static_argnames=("algorithm", "index"))
def shown(algorithm, index, state):
    """The state whose policy is scored during phase `index`."""
    shows = algorithm.phases()[index].shows
    return state if shows is None else jax.vmap(shows)(state)


def seen(dataset, view):
    """What a phase draws from: the data set, or a view of the frames at its places."""
    return dataset if view is None else SequenceDataset(view, dataset)


def metric_names(algorithm, spec: Spec, dataset) -> list[str]:
    """Names of all metrics of all phases, in order, without computing anything."""
    every = state_shapes(algorithm, spec, (0,))
    state, key, step = _of_one(every), jax.random.key(0), jnp.zeros((), jnp.int32)
    names: dict[str, None] = {}
    for index, phase in enumerate(algorithm.phases()):
        data, view = shape_of(algorithm, index, every, dataset)
        shown = {"view": _of_one(view)}
        found = one_update.eval_shape(algorithm, index, state, data, key, step, **shown)
        names |= dict.fromkeys(found[1])
        if phase.refresh is not None:
            found = one_event.eval_shape(algorithm, index, REFRESH, state, data, key, step, **shown)
            names |= dict.fromkeys(found[1])
    return list(names)


def _of_one(shapes):
    """Shapes without their leading axis of seeds."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), shapes)
