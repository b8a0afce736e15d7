"""file -> device -> draw -> update -> state -> act -> simulators -> scores: the whole of training.

Read `train` from top to bottom: it runs the phases of an algorithm, many
updates a compiled call, and between calls records, refreshes, saves and
evaluates.  What happens at a step happens in that order, so a checkpoint is
the state *after* everything but the evaluation of its step, which a resumed
run repeats.
"""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import AbstractAlgorithm, Phase
from shared.datasets.pages import MappedSequences
from shared.datasets.suspects import suspicion
from shared.environments.rendering import Pixels
from shared.environments.units import Units
from shared.errors import NonFiniteError
from shared.record.run_folder import RunFolder
from shared.training import devices, online, paging, program
from shared.training.evaluation import BackgroundEvaluator
from shared.training.log import Log, Position
from shared.training.progress import Progress
from shared.training.schedule import due, scored, stretches
from shared.training.settings import RunSettings
from shared.training.sweep_folder import SweepFolder
from shared.training.views import source_of
from shared.types import Spec

Run = RunFolder | SweepFolder

MEND = (
    "neither data nor simulator hold such numbers, so the learner diverged; lower its learning rate"
)


def unchanged(state):
    """A run begins with what its algorithm initialises."""
    return state


class Context(NamedTuple):
    """What all phases of a run share."""

    algorithm: AbstractAlgorithm
    dataset: Any
    keys: Any
    run: Run
    settings: RunSettings
    log: Log
    evaluator: BackgroundEvaluator


def train(
    algorithm: AbstractAlgorithm,
    dataset,
    spec: Spec,
    run: Run,
    *,
    seeds: tuple[int, ...],
    settings: RunSettings,
    progress: Progress,
    mirrors: tuple = (),
    prepare: Callable = unchanged,
):
    """Train all `seeds` side by side, from the run's last checkpoint if it has one.

    Arguments:
        algorithm: its phases are run in order.
        dataset: with `draw` methods that the algorithm's phases call; on the device, or a
            `MappedSequences`.
        spec: sizes and statistics of the data.
        run: an open, writable run folder.
        seeds: leading axis of the state.
        settings: intervals of recording, saving and evaluating.
        progress: told of every stretch.
        mirrors: further loggers, see `shared.training.loggers`.
        prepare: `state -> state`, changes the fresh state of a run without checkpoints.

    Returns:
        The final state; leading axis = seeds.

    Raises:
        NonFiniteError: a metric or parameter became NaN or infinite.
        Interrupted: Ctrl-C; the sentence says how the run goes on.
    """
    phases = program.phases_of(algorithm, settings.online_steps)
    begin = partial(online.nothing_shown, run.record["environment"], spec, settings, seeds)
    log = Log(run, seeds, [phase.steps for phase in phases], progress, mirrors)
    environment, pixels = run.record["environment"], Pixels.of(run.record)
    own = settings.episodes, settings.evaluate_sampled
    players = (algorithm, environment, seeds, *own, pixels, Units.of(run.record))
    with log.interruptible():
        fresh = program.init_state(algorithm, spec, seeds)
        state, begin, position = restore(run, algorithm, fresh, begin, prepare)
        with contextlib.closing(BackgroundEvaluator(*players)) as evaluator:
            mesh = devices.mesh_of(settings.devices, len(seeds))
            state, keys = devices.by_seed((state, program.seed_keys(seeds)), mesh)
            if not isinstance(dataset, MappedSequences):
                dataset = devices.everywhere(dataset, mesh)
            context = Context(algorithm, dataset, keys, run, settings, log, evaluator)
            # Of this thread, hence of training alone: evaluation has one of its own.
            with jax.default_matmul_precision(settings.matmul_precision):
                log.continuing(phases, position)
                if position.step:  # the evaluation of a checkpoint's own step comes after it
                    evaluate_if_due(context, state, phases[position.index], position)
                for index in range(position.index, len(phases)):
                    first = position.step if index == position.index else 0
                    progress.begin(phases[index].name, phases[index].steps, first)
                    state = run_phase(context, state, phases[index], Position(index, first), begin)
                if not any(phase.steps for phase in phases):
                    keep_untrained(context, state, phases)
            log.scores(evaluator, wait=True)
    return state


def keep_untrained(context: Context, state, phases) -> None:
    """Save and score a policy that is a model taken over, and nothing else."""
    position = Position(len(phases) - 1, 0)
    if context.run.checkpoints.latest is None:
        save(context.run, state, phases[-1], position, context.log, lambda: None)
    evaluate_if_due(context, state, phases[-1], position)


def run_phase(context: Context, state, phase: Phase, position: Position, begin):
    """All remaining updates of a phase, and what is due between them; the state after it."""
    if phase.explore is None:
        return run_updates(context, state, phase, position, None)
    environment = context.run.record["environment"]
    units = Units.of(context.run.record)
    player = online.Player(context.algorithm, environment, context.log.seeds, begin(), units)
    try:
        return run_updates(context, state, phase, position, player)
    finally:
        player.close()


def run_updates(context: Context, state, phase: Phase, position: Position, player):
    """The same with a player, if it is an online phase: it plays before each block of updates."""
    algorithm, dataset, keys, run, settings, log, evaluator = context
    index, step = position
    view = None
    if phase.view is not None and step < phase.steps:
        dataset, view = source_of(algorithm, index, state, dataset)

    def event(kind, state):
        data = paging.data_of_event(algorithm, index, kind, state, dataset, keys, step)
        return program.run_event(algorithm, index, kind, state, data, keys, step, view)

    if step == 0 < phase.steps and phase.start is not None:
        state, _ = event(program.START, state)
    if step == 0 < phase.steps and settings.evaluate_first and phase.explore is None:
        if not shown_before(algorithm, index):
            evaluate_if_due(context, state, phase, position)
    pieces = tuple(stretches(step, phase, settings))
    calls = paging.calls(algorithm, index, dataset, keys, pieces, settings.steps_per_call)
    for first, step in pieces:
        started = time.perf_counter()
        if player is not None and first % settings.online_block == 0:
            player.play(state, first, min(settings.online_block, phase.steps - first))
        replay = None if player is None else player.shown.replay
        shown = {"replay": replay, "view": view, "together": settings.seeds_together}
        shown["mesh"] = devices.mesh_of(settings.devices, len(keys))
        state, history = paging.run_calls(algorithm, index, state, calls, keys, step, **shown)
        blame = partial(suspicion, context.dataset, None if replay is None else replay.rows)
        metrics = check(history, phase, first, log.seeds, run, blame)
        seconds = time.perf_counter() - started
        if phase.refresh is not None and due(step, phase, phase.refresh_every):
            state, refreshed = event(program.REFRESH, state)
            metrics |= {name: np.asarray(value) for name, value in refreshed.items()}
        if step == phase.steps and phase.finish is not None:
            state, _ = event(program.FINISH, state)
        position = Position(index, step)
        log.metrics(phase, position, metrics, seconds, step - first)
        log.scores(evaluator, wait=False)
        if due(step, phase, settings.save_every):
            log.scores(evaluator, wait=True)
            saved = state if player is None else (state, player.shown)
            save(run, saved, phase, position, log, blame)
        evaluate_if_due(context, state, phase, position)
    return state


def shown_before(algorithm, index: int) -> bool:
    """Was what phase `index` begins with scored at the end of the phase before it?"""
    if index == 0:
        return False
    before = algorithm.phases()[index - 1]
    return before.shows is not None and before.steps > 0


def evaluate_if_due(context: Context, state, phase: Phase, position: Position) -> None:
    """Start scoring this state in the background, if its step is one to score."""
    settings, index = context.settings, position.index
    if scored(phase, settings) and due(position.step, phase, settings.evaluate_every):
        if not phase.evaluates:
            state = program.shown(context.algorithm, index, state)
        context.log.submit(context.evaluator, phase, state, position)


def check(history, phase, first, seeds, run, blame: Callable) -> dict[str, np.ndarray]:
    """Means over the updates of a stretch, name -> (seeds,); stops at the first non-finite value.

    Of its update and seed it names every such metric: a loss, and the term that spoiled it.
    `blame()` says whether data or a simulator are to blame.
    """
    bad = {name: ~np.isfinite(values) for name, values in history.items()}
    places = [tuple(np.argwhere(mask)[0]) for mask in bad.values() if mask.any()]
    if places:
        row, i = min(places)
        values = {name: history[name][row, i] for name, mask in bad.items() if mask[row, i]}
        became = ", ".join(f"'{name}' became {value}" for name, value in values.items())
        raise NonFiniteError(
            f"phase '{phase.name}', step {first + row + 1}, seed {seeds[i]}: {became}; "
            f"{_last_good(run)}; {blame() or MEND}."
        )
    return {name: values.mean(0, dtype=np.float64) for name, values in history.items()}


@jax.jit
def _all_finite(state):
    floats = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(~jnp.isnan(x)) for x in floats]))


def save(run: Run, state, phase: Phase, position: Position, log: Log, blame: Callable) -> None:
    """Write a checkpoint, unless the state holds a NaN that no metric has shown yet."""
    if not bool(_all_finite(state)):
        raise NonFiniteError(
            f"phase '{phase.name}', step {position.step}: a parameter became NaN; "
            f"{_last_good(run)}; {blame() or MEND}."
        )
    run.save(
        state,
        {
            "phase": phase.name,
            "phase_index": position.index,
            "step": position.step,
            "global_step": log.global_step(position),
        },
    )


def restore(run: Run, algorithm, state, begin, prepare: Callable):
    """State, start of the online phase, and position of the last checkpoint.

    Tables are cut back to what it knew.  `begin()` is the start of a fresh online phase,
    `prepare(state)` that of a fresh run.
    """
    if run.checkpoints.latest is None:
        run.metrics.truncate_to(0)
        run.scores.truncate_to(0)
        return jax.tree.map(jnp.array, prepare(state)), begin, Position()
    if online.is_online(algorithm, run.checkpoints.read_progress()):
        (state, shown), progress = run.checkpoints.restore((state, begin()))
        begin = partial(online.carry_on, shown)
    else:
        state, progress = run.checkpoints.restore(state)
    run.metrics.truncate_to(progress["metrics_rows"])
    run.scores.truncate_to(progress["scores_rows"])
    position = Position(progress["phase_index"], progress["step"])
    return jax.tree.map(jnp.array, state), begin, position


def _last_good(run: Run) -> str:
    name = run.checkpoints.latest
    return (
        f"the last good checkpoint, '{name}', is kept" if name else "no checkpoint was written yet"
    )
