"""file -> device -> draw -> update -> state -> act -> simulators -> scores: the whole of training.

Read `train` from top to bottom: it runs the phases of an algorithm, many
updates a compiled call, and between calls records, refreshes, saves and
evaluates.  What happens at a step happens in that order, so a checkpoint is
the state *after* everything but the evaluation of its step, which a resumed
run repeats.
"""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from shared.algorithm import AbstractAlgorithm, Phase
from shared.errors import NonFiniteError
from shared.training import program
from shared.training.evaluation import BackgroundEvaluator
from shared.training.progress import Progress
from shared.training.run_folder import RunFolder
from shared.training.settings import RunSettings
from shared.types import Spec


@dataclass
class Position:
    """Where a run stands: `step` updates of phase `index` are done."""

    index: int = 0
    step: int = 0


def train(
    algorithm: AbstractAlgorithm,
    dataset,
    spec: Spec,
    run: RunFolder,
    *,
    seeds: tuple[int, ...],
    settings: RunSettings,
    progress: Progress,
    mirrors: tuple = (),
):
    """Train all `seeds` side by side, from the run's last checkpoint if it has one.

    Arguments:
        dataset: on the device, with `draw` methods that the algorithm's phases call.
        spec: sizes and statistics of the data.
        run: an open, writable run folder.
        mirrors: further loggers, see `shared.training.loggers`.

    Returns:
        The final state; leading axis = seeds.

    Raises:
        NonFiniteError: a metric or parameter became NaN or infinite.
    """
    phases = algorithm.phases()
    keys = program.seed_keys(seeds)
    state = program.init_state(algorithm, spec, seeds)
    state, position = restore(run, state)
    log = Log(run, seeds, [p.steps for p in phases], progress, mirrors)
    evaluator = BackgroundEvaluator(algorithm, run.record["environment"], seeds, settings.episodes)
    try:
        if position.step and due(position.step, phases[position.index], settings.evaluate_every):
            log.submit(evaluator, phases[position.index], state, position)
        for index in range(position.index, len(phases)):
            phase, step = phases[index], position.step
            progress.begin(phase.name, phase.steps, step)
            if step == 0 and phase.start is not None:
                state, _ = program.run_event(
                    algorithm, index, program.START, state, dataset, keys, 0
                )
            while step < phase.steps:
                stop = next_stop(step, phase, settings)
                started = time.perf_counter()
                state, history = program.run_updates(
                    algorithm,
                    index,
                    settings.steps_per_call,
                    state,
                    dataset,
                    keys,
                    step,
                    stop - step,
                )
                metrics = check(jax.device_get(history), stop - step, phase, step, seeds, run)
                seconds, count, step = time.perf_counter() - started, stop - step, stop
                position = Position(index, step)
                if phase.refresh is not None and due(step, phase, phase.refresh_every):
                    state, refreshed = program.run_event(
                        algorithm, index, program.REFRESH, state, dataset, keys, step
                    )
                    metrics |= {k: np.asarray(v) for k, v in refreshed.items()}
                if step == phase.steps and phase.finish is not None:
                    state, _ = program.run_event(
                        algorithm, index, program.FINISH, state, dataset, keys, step
                    )
                log.metrics(phase, position, metrics, seconds, count)
                log.scores(evaluator, wait=False)
                if due(step, phase, settings.save_every):
                    log.scores(evaluator, wait=True)
                    save(run, state, phase, position, log)
                if due(step, phase, settings.evaluate_every):
                    log.submit(evaluator, phase, state, position)
            position = Position(index + 1, 0)
        log.scores(evaluator, wait=True)
    finally:
        evaluator.close()
    return state


def due(step: int, phase: Phase, every: int) -> bool:
    """Is `step` a multiple of `every`, or the phase's last?"""
    return step == phase.steps or (every > 0 and step % every == 0)


def next_stop(step: int, phase: Phase, settings: RunSettings) -> int:
    """The next step at which the compiled updates must pause."""
    intervals = [settings.steps_per_call, settings.save_every]
    if phase.refresh is not None:
        intervals.append(phase.refresh_every)
    if phase.evaluates:
        intervals.append(settings.evaluate_every)
    return min(phase.steps, *(step - step % i + i for i in intervals if i > 0))


def check(history, count, phase, first, seeds, run) -> dict[str, np.ndarray]:
    """Means over a call's updates, name -> (seeds,); stops at the first non-finite value."""
    bad = {name: ~np.isfinite(values[:count]) for name, values in history.items()}
    worst = min(
        ((int(np.argwhere(mask)[0, 0]), name) for name, mask in bad.items() if mask.any()),
        default=None,
    )
    if worst is not None:
        row, name = worst
        seed = seeds[int(np.argmax(bad[name][row]))]
        raise NonFiniteError(
            f"phase '{phase.name}', step {first + row + 1}, seed {seed}: '{name}' became "
            f"{history[name][row][np.argmax(bad[name][row])]}; {_last_good(run)}; lower the learning "
            "rate or look at the data with 'data inspect'."
        )
    return {name: values[:count].mean(0, dtype=np.float64) for name, values in history.items()}


@jax.jit
def _all_finite(state):
    floats = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(~jnp.isnan(x)) for x in floats]))


def save(run: RunFolder, state, phase: Phase, position: Position, log: "Log") -> None:
    """Write a checkpoint, unless the state holds a NaN that no metric has shown yet."""
    if not bool(_all_finite(state)):
        raise NonFiniteError(
            f"phase '{phase.name}', step {position.step}: a parameter became NaN; {_last_good(run)}; "
            "lower the learning rate or look at the data with 'data inspect'."
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


def restore(run: RunFolder, state):
    """State and position of the last checkpoint; tables are cut back to what it knew."""
    if run.checkpoints.latest is None:
        run.metrics.truncate_to(0)
        run.scores.truncate_to(0)
        return state, Position()
    state, progress = run.checkpoints.restore(state)
    run.metrics.truncate_to(progress["metrics_rows"])
    run.scores.truncate_to(progress["scores_rows"])
    return jax.tree.map(jnp.array, state), Position(progress["phase_index"], progress["step"])


def _last_good(run: RunFolder) -> str:
    name = run.checkpoints.latest
    return (
        f"the last good checkpoint, '{name}', is kept" if name else "no checkpoint was written yet"
    )


class Log:
    """Rows for the run's tables, for the progress bar and for any mirrors."""

    def __init__(self, run, seeds, phase_steps, progress, mirrors):
        self.run, self.source, self.seeds = run, run.record["source"], seeds
        self.offsets = np.concatenate([[0], np.cumsum(phase_steps)]).tolist()
        self.progress, self.mirrors = progress, mirrors

    def global_step(self, position: Position) -> int:
        """Updates since the start of the run, over all phases."""
        return self.offsets[position.index] + position.step

    def metrics(self, phase, position, metrics, seconds, count) -> None:
        """One row a seed and call."""
        step = self.global_step(position)
        for i, seed in enumerate(self.seeds):
            values = {name: float(value[i]) for name, value in metrics.items()}
            self.run.metrics.append(
                {
                    "phase": phase.name,
                    "step": step,
                    "seed": seed,
                    "seconds": round(seconds, 4),
                    "updates_per_second": round(count / seconds, 2),
                    **values,
                }
            )
            for mirror in self.mirrors:
                mirror.log(step, {f"{phase.name}/seed{seed}/{k}": v for k, v in values.items()})
        self.progress.advance(position.step, {k: float(v.mean()) for k, v in metrics.items()})

    def submit(self, evaluator, phase, state, position) -> None:
        """Start an evaluation of this position, if the phase has a policy to score."""
        if phase.evaluates:
            step = self.global_step(position)
            label = {
                "phase": phase.name,
                "checkpoint": self.run.checkpoints.latest,
                "step": step,
            }
            evaluator.submit(state, step, label)

    def scores(self, evaluator, *, wait: bool) -> None:
        """One row an episode of every finished evaluation."""
        for label, rows in evaluator.finished(wait=wait):
            for row in rows:
                self.run.scores.append({"phase": label["phase"], **row, "source": self.source})
            mode = [row["score"] for row in rows if row["mode"] == "deterministic"]
            self.progress.score(float(np.mean(mode)))
            for mirror in self.mirrors:
                mirror.log(label["step"], {"evaluation/score": float(np.mean(mode))})
            name = label["checkpoint"]
            if name in self.run.checkpoints.names() and (
                self.run.checkpoints.read_progress(name)["global_step"] == label["step"]
            ):
                self.run.checkpoints.mark_best(name, float(np.mean(mode)), {"step": label["step"]})
