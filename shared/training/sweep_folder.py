"""The run folders of a sweep, written by one training loop as if they were one.

    OUT/sweep.json          the members and their swept values
    OUT/support=0.5/        an ordinary run folder: scores, metrics, checkpoints
    OUT/support=1/          ...

Every member can be evaluated, compared and loaded as any other run; only
carrying it on is done for all of them together.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from shared.errors import RunError
from shared.record.run_folder import RunFolder
from shared.record.schema import SWEEP_FILE
from shared.storage.durable import disk_errors, write_atomically
from shared.training.sweep import SweptState


def write_members(path: Path, members: dict[str, dict[str, Any]], *, apart: bool = False) -> None:
    """Note folder and values of every member, once all of their folders are there.

    `apart`: they are trained one after another, not side by side by one program.
    """
    content = {"members": members, "apart": apart}
    with disk_errors(f"{path / SWEEP_FILE} could not be written", "make room and start again"):
        write_atomically(path / SWEEP_FILE, json.dumps(content, indent=1) + "\n")


def read_members(path: Path) -> tuple[dict[Path, dict[str, Any]], bool]:
    """Folder and swept values of every member, and whether they are trained apart.

    Raises:
        RunError: the file is damaged.
    """
    try:
        content = json.loads((path / SWEEP_FILE).read_text(encoding="utf-8"))
        members = {path / name: dict(values) for name, values in content["members"].items()}
        return members, bool(content.get("apart"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{path / SWEEP_FILE} cannot be read; start the sweep anew.") from None


class SweepFolder:
    """What a training loop needs of a run folder, spread over the members.

    Arguments:
        path: of the sweep.
        runs: the members' folders, open for writing.
        values: the swept values, one row a member.
        seeds: how many each member trains; they are neighbours in the state.
    """

    def __init__(self, path: Path, runs: Sequence[RunFolder], values: np.ndarray, seeds: int):
        self.path, self.runs, self.record = path, runs, runs[0].record
        self.resumed_as = path
        self.values, self.seeds = jnp.asarray(np.repeat(values, seeds, 0), jnp.float32), seeds
        self.metrics = SplitTable([run.metrics for run in runs])
        self.scores = SplitTable([run.scores for run in runs])
        self.checkpoints = self

    @property
    def latest(self) -> str | None:
        """The newest checkpoint that all members have; None begins anew."""
        steps = [self._steps(run) for run in self.runs]
        common = set(steps[0]).intersection(*steps[1:])
        return steps[0][max(common)] if common else None

    def names(self) -> list[str]:
        """None: which checkpoint scored best is a question for each member alone."""
        return []

    def read_progress(self) -> dict[str, Any]:
        """The progress of the newest common checkpoint."""
        return self.runs[0].checkpoints.read_progress(self.latest)

    def save(self, state: SweptState, progress: dict[str, Any]) -> None:
        """A checkpoint of every member, in the form of an ordinary run."""
        for i, run in enumerate(self.runs):
            run.save(self._part(state, i), progress)

    def restore(self, template: SweptState) -> tuple[SweptState, dict[str, Any]]:
        """The state of all members at the newest common checkpoint, and its progress."""
        latest = self.latest
        step = next(s for s, name in self._steps(self.runs[0]).items() if name == latest)
        parts = []
        for i, run in enumerate(self.runs):
            name = self._steps(run)[step]
            part, progress = run.checkpoints.restore(self._part(template, i), name)
            parts.append(part)
        member = jax.tree.map(lambda *x: jnp.concatenate(x), *parts)
        return SweptState(self.values, member), progress

    def _part(self, state: SweptState, i: int) -> PyTree:
        return jax.tree.map(lambda x: x[i * self.seeds : (i + 1) * self.seeds], state.member)

    def _steps(self, run: RunFolder) -> dict[int, str]:
        checkpoints = run.checkpoints
        return {checkpoints.read_progress(n)["global_step"]: n for n in checkpoints.names()}


class SplitTable:
    """Rows of all members at once, in their order, to the table of each."""

    def __init__(self, tables: Sequence):
        self.tables = tables

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Equally many rows for each member."""
        size = len(rows) // len(self.tables)
        for i, table in enumerate(self.tables):
            table.append(rows[i * size : (i + 1) * size])

    def truncate_to(self, rows: int) -> None:
        """Cut every table back to its own first `rows` rows."""
        for table in self.tables:
            table.truncate_to(rows)
