"""How final scores depend on one hyperparameter, found in what runs differ in."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from shared.comparison import panels
from shared.comparison.drawing import Drawing
from shared.comparison.record import Run
from shared.comparison.rows import final_means
from shared.comparison.statistics import bootstrap_interval, mean

LEAST = 3
"""Fewer different values are no sweep."""


class Sweep(NamedTuple):
    """Runs of one algorithm in one environment that differ in one number alone, by its value."""

    environment: str
    algorithm: str
    name: str
    values: tuple[float, ...]
    runs: tuple[Run, ...]


def find_sweeps(runs: Sequence[Run], mode: str) -> list[Sweep]:
    """All sweeps of at least `LEAST` values among scored runs, by hyperparameter.

    Args:
        runs: pooled.
        mode: `deterministic` or `sampled`.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.final_episodes(mode):
            who = (run.environment, run.family, run.algorithm, run.data.sha256)
            groups.setdefault(repr((*who, sorted(run.hyperparameters))), []).append(run)
    found = []
    for group in groups.values():
        for name in group[0].hyperparameters:
            found += _sweeps_of(group, name)
    return sorted(found, key=lambda sweep: (sweep.name, sweep.environment, sweep.algorithm))


def _sweeps_of(group: Sequence[Run], name: str) -> list[Sweep]:
    alike: dict[str, dict[float, Run]] = {}
    for run in group:
        value = run.hyperparameters[name]
        if type(value) in (int, float):
            others = {k: v for k, v in run.hyperparameters.items() if k != name}
            alike.setdefault(repr(others), {}).setdefault(float(value), run)
    return [
        Sweep(
            group[0].environment,
            group[0].algorithm,
            name,
            tuple(sorted(members)),
            tuple(members[value] for value in sorted(members)),
        )
        for members in alike.values()
        if len(members) >= LEAST
    ]


def sensitivity(runs: Sequence[Run], mode: str) -> list[Drawing]:
    """A drawing for each swept hyperparameter, a panel an environment, a line an algorithm."""
    drawings = []
    sweeps = find_sweeps(runs, mode)
    for name in dict.fromkeys(sweep.name for sweep in sweeps):
        own = [sweep for sweep in sweeps if sweep.name == name]
        groups = {e: [s for s in own if s.environment == e] for e in {s.environment for s in own}}
        drawings.append(
            Drawing(
                f"sensitivity-{name}",
                f"Sensitivity to {name}",
                "Runs that differ in this hyperparameter alone: mean final score over seeds, with "
                "its 95 % bootstrap interval.",
                tuple(partial(_draw, groups[e], e, mode) for e in sorted(groups)),
            )
        )
    return drawings


def _draw(sweeps: Sequence[Sweep], environment: str, mode: str, axis: Any) -> None:
    runs = [run for sweep in sweeps for run in sweep.runs]
    value = panels.value_of(runs)
    for k, sweep in enumerate(sweeps):
        color, marker, line = panels.look(k)
        seeds = [np.array(list(final_means(run, mode, value).values())) for run in sweep.runs]
        means = [own.mean() for own in seeds]
        ends = [bootstrap_interval(mean, [own]) for own in seeds]
        for x, interval in zip(sweep.values, ends, strict=True):
            if interval is not None:
                axis.plot((x, x), interval, "-", color=color, linewidth=5, alpha=0.3)
        label = panels.plain(sweep.algorithm)
        axis.plot(sweep.values, means, line, color=color, marker=marker, label=label)
    panels.finish(axis, runs, environment)
    every = [x for sweep in sweeps for x in sweep.values]
    plain = min(every) <= 0 or max(every) / min(every) < 8
    axis.set_xscale("linear" if plain else "log")
    ticks = sorted(set(every))
    axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axis.minorticks_off()
    axis.set_xlabel(sweeps[0].name)
