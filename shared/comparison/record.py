"""What comparison knows of a run: one record, and how several become one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.comparison.csv_tables import Episode, Metrics, read_metrics
from shared.record.schema import UNFINISHED

SOURCES = {
    "official": "the benchmark's own file",
    "collected": "recorded by this project with its own behaviour policies, not the "
    "benchmark's file",
    "yours": "a data file of the user's own",
}
AXES = ("updates", "hours", "cpu-hours")
"""Of learning curves; see `Run.hours` and `Run.cpu_hours`."""


@dataclass(frozen=True)
class DataRecord:
    """The data set of a run; None where the run did not record a value.

    `mean_return`, `best_return` and `p90_return` (90 % of the episodes return less) are raw
    episode sums of the behaviour data, `mean_score` is the normalised mean.
    """

    name: str
    sha256: str
    rows: int | None = None
    episodes: int | None = None
    mean_return: float | None = None
    mean_score: float | None = None
    best_return: float | None = None
    p90_return: float | None = None


@dataclass(frozen=True)
class Origin:
    """One run folder: what made it, and what that cost; None where it was not recorded.

    `parameters` are those of one seed; `peak_memory` and `peak_device_memory` are in bytes.
    `cores` is the mean number of busy cores: CPU seconds of the process by seconds, `model` the
    run folder whose frozen model was taken over.
    """

    folder: Path
    seeds: tuple[int, ...]
    command: str = ""
    commit: str | None = None
    parameters: int | None = None
    cores: float | None = None
    peak_memory: int | None = None
    peak_device_memory: int | None = None
    model: Path | None = None


@dataclass(frozen=True)
class Run:
    """One run folder, or several of the same settings and different seeds."""

    folders: tuple[Path, ...]
    algorithm: str
    environment: str
    label: str
    source: str
    data: DataRecord
    seeds: tuple[int, ...]
    phases: tuple[tuple[str, int], ...]
    status: str
    episodes: tuple[Episode, ...] = field(repr=False)
    preset: str = ""
    hyperparameters: dict[str, Any] = field(default_factory=dict, repr=False)
    versions: dict[str, str] = field(default_factory=dict, repr=False)
    devices: str = ""
    family: str = ""
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    origins: tuple[Origin, ...] = field(default=(), repr=False)

    def metrics(self) -> Metrics:
        """The metrics of all seeds, read from the folders at each call.

        Raises:
            RunError: if a metrics table is missing or damaged.
        """
        tables = [
            read_metrics(folder / "metrics.csv", running=self.status in UNFINISHED)
            for folder in self.folders
        ]
        names = dict.fromkeys(name for table in tables for name in table.values)
        absent = [np.full(len(table.step), np.nan) for table in tables]
        values = {
            name: np.concatenate(
                [t.values.get(name, nan) for t, nan in zip(tables, absent, strict=True)]
            )
            for name in names
        }
        phase, step, seed = (
            np.concatenate([getattr(table, column) for table in tables])
            for column in ("phase", "step", "seed")
        )
        return Metrics(phase, step, seed, values)

    def hours(self, steps: np.ndarray) -> np.ndarray:
        """Hours of training at each of `steps`, without evaluation; those of the first folder.

        Raises:
            RunError: if its metrics table is missing or damaged.
        """
        table = read_metrics(self.folders[0] / "metrics.csv", running=self.status in UNFINISHED)
        first = table.seed == table.seed[:1]
        spent = np.cumsum(table.values["seconds"][first]) if first.any() else np.zeros(0)
        known = np.append(0, table.step[first]), np.append(0.0, spent)
        return np.interp(steps, *known) / 3600

    def cpu_hours(self, steps: np.ndarray) -> np.ndarray | None:
        """`hours` times the mean number of busy cores; None where that was not recorded.

        Raises:
            RunError: if its metrics table is missing or damaged.
        """
        cores = self.origins[0].cores if self.origins else None
        return None if cores is None else cores * self.hours(steps)

    def final_episodes(self, mode: str) -> dict[int, list[Episode]]:
        """Seed -> episodes of that seed's last evaluation in `mode`.

        The last, never the best: choosing the best evaluation would need the
        simulator, which offline learning does without.  Seeds that were never
        scored are left out.
        """
        last: dict[int, list[Episode]] = {}
        for episode in self.episodes:
            if episode.mode != mode:
                continue
            known = last.get(episode.seed)
            if known is None or episode.step > known[0].step:
                last[episode.seed] = [episode]
            elif episode.step == known[0].step:
                known.append(episode)
        return dict(sorted(last.items()))

    def curve(self, mode: str, value: str = "score") -> tuple[np.ndarray, np.ndarray]:
        """Steps (n,) and each seed's mean over the episodes of an evaluation (n, seeds).

        Only steps at which every scored seed was evaluated are kept, so that a
        line never jumps because a seed joins or leaves.

        Args:
            mode: `deterministic` or `sampled`.
            value: `score` or `return_`.
        """
        groups: dict[int, dict[int, list[float]]] = {}
        for e in self.episodes:
            if e.mode == mode:
                groups.setdefault(e.step, {}).setdefault(e.seed, []).append(getattr(e, value))
        seeds = sorted({seed for group in groups.values() for seed in group})
        steps = [step for step in sorted(groups) if len(groups[step]) == len(seeds)]
        means = [[np.mean(groups[step][seed]) for seed in seeds] for step in steps]
        return np.array(steps, np.int64), np.array(means).reshape(len(steps), len(seeds))


def pool(runs: Sequence[Run]) -> list[Run]:
    """One record for each line of a table, with labels that differ within an environment.

    Runs of one label that share settings and data and have different seeds
    become one record.  Runs of one label that do not are kept apart and told
    apart by the names of their folders.
    """
    pooled: list[Run] = []
    for run in runs:
        for k, other in enumerate(pooled):
            if _same_experiment(run, other):
                pooled[k] = _merge(other, run)
                break
        else:
            pooled.append(run)
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in pooled:
        groups.setdefault((run.environment, run.label), []).append(run)
    named = {}
    for group in groups.values():
        for run, suffix in zip(group, _suffixes(group), strict=True):
            named[id(run)] = replace(run, label=run.label + suffix)
    return [named[id(run)] for run in pooled]


def _same_experiment(run: Run, other: Run) -> bool:
    same = all(
        getattr(run, name) == getattr(other, name)
        for name in ("family", "algorithm", "environment", "label", "source", "preset", "phases")
    )
    return (
        same
        and run.data.sha256 == other.data.sha256
        and run.hyperparameters == other.hyperparameters
        and not set(run.seeds) & set(other.seeds)
    )


def _merge(first: Run, second: Run) -> Run:
    return replace(
        first,
        folders=first.folders + second.folders,
        seeds=tuple(sorted(first.seeds + second.seeds)),
        episodes=first.episodes + second.episodes,
        origins=first.origins + second.origins,
        status=first.status if first.status != "finished" else second.status,
    )


def _suffixes(group: list[Run]) -> list[str]:
    """Endings that tell runs of one label apart: as much of their paths as is needed."""
    if len(group) == 1:
        return [""]
    paths = [run.folders[0].absolute().parts for run in group]
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len(set(names)) == len(names):
            return [f" ({name})" for name in names]
    return [f" ({k})" for k in range(1, len(group) + 1)]
