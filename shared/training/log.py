"""Rows for a run's tables, for the progress bar and for any mirrors."""

import contextlib
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shared.errors import Interrupted
from shared.storage.interrupts import Interrupts


class Position(NamedTuple):
    """Where a run stands: `step` updates of phase `index` are done."""

    index: int = 0
    step: int = 0


class Log:
    """Rows for the run's tables, for the progress bar and for any mirrors."""

    def __init__(self, run, seeds, phase_steps, progress, mirrors):
        self.run, self.source, self.seeds = run, run.record["source"], seeds
        self.offsets = np.concatenate([[0], np.cumsum(phase_steps)]).tolist()
        self.progress, self.mirrors, self.step = progress, mirrors, 0
        self.interrupts = Interrupts()

    def global_step(self, position: Position) -> int:
        """Updates since the start of the run, over all phases."""
        return self.offsets[position.index] + position.step

    def metrics(self, phase, position, metrics, seconds, count) -> None:
        """One row a seed and call."""
        step, rows = self.global_step(position), []
        self.step = step
        for i, seed in enumerate(self.seeds):
            values = {name: float(value[i]) for name, value in metrics.items()}
            rows.append(
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
                mirror.log(step, seed, {f"{phase.name}/{k}": v for k, v in values.items()})
        self.run.metrics.append(rows)
        self.progress.advance(position.step, {k: float(v.mean()) for k, v in metrics.items()})
        self.interrupts.check()

    def continuing(self, phases, position: Position) -> None:
        """Say where a run goes on that is not at its start."""
        self.step = self.global_step(position)
        if self.step:
            phase = phases[position.index]
            self.progress.tell(
                f"continuing at update {position.step:,} of {phase.steps:,} of phase '{phase.name}'"
            )

    def interrupted(self) -> str:
        """What was reached, what is kept, and how the run goes on."""
        latest = self.run.checkpoints.latest
        kept = self.run.checkpoints.read_progress()["global_step"] if latest else 0
        step = max(self.step, kept)
        lost = "" if kept == step else f" (its last checkpoint is of update {kept:,})"
        words = (self.run.record["family"], "train", "--resume", str(self.run.resumed_as))
        return f"interrupted at update {step:,}{lost}; continue with: {shlex.join(words)}"

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C inside of it says what was reached.

        Raises:
            Interrupted: in the place of KeyboardInterrupt.
        """
        try:
            with self.interrupts.listening():
                yield
        except KeyboardInterrupt:
            raise Interrupted(self.interrupted()) from None

    def submit(self, evaluator, phase, state, position) -> None:
        """Start an evaluation of this position."""
        step = self.global_step(position)
        checkpoint = self.run.checkpoints.latest if phase.evaluates else None
        label = {"phase": phase.name, "checkpoint": checkpoint, "step": step}
        evaluator.submit(state, step, label)

    def scores(self, evaluator, *, wait: bool) -> None:
        """One row an episode of every finished evaluation."""
        for label, rows in evaluator.finished(wait=wait, check=self.interrupts.check):
            named = [{"phase": label["phase"], **row, "source": self.source} for row in rows]
            known = not np.isnan([row["score"] for row in rows]).any()
            if not known:  # a task without reference returns: the column stays blank
                named = [{k: v for k, v in row.items() if k != "score"} for row in named]
            self.run.scores.append(named)
            value = "score" if known else "return"
            mode = [row[value] for row in rows if row["mode"] == "deterministic"]
            self.progress.score(float(np.mean(mode)), value)
            for mirror in self.mirrors:
                for seed in self.seeds:
                    mirror.log(label["step"], seed, evaluation_of(rows, seed, known))
            name = label["checkpoint"]
            if name in self.run.checkpoints.names() and self._is_of(label, name):
                self.run.checkpoints.mark_best(name, float(np.mean(mode)), {"step": label["step"]})

    def _is_of(self, label: dict, name: str) -> bool:
        """Was the checkpoint of this name made at the step of an evaluation, in its phase?"""
        progress = self.run.checkpoints.read_progress(name)
        made = progress["phase"], progress["global_step"]
        return made == (label["phase"], label["step"])


def evaluation_of(rows, seed: int, scored: bool) -> dict[str, float]:
    """Means over a seed's episodes: `evaluation/return`, `evaluation/score_sampled`, ..."""
    means = {}
    for value in ("return", "score") if scored else ("return",):
        for mode, suffix in (("deterministic", ""), ("sampled", "_sampled")):
            own = [r[value] for r in rows if (r["seed"], r["mode"]) == (seed, mode)]
            if own:
                means[f"evaluation/{value}{suffix}"] = float(np.mean(own))
    return means
