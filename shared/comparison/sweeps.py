"""Swept hyperparameters, found in what runs differ in, and where on an axis each value lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from shared.comparison.judged import read_judged
from shared.comparison.record import Run

LEAST = 3
"""Fewer different values are no sweep."""
BOX = "box width"
"""The axis that the half widths of all boxes share, whatever a method calls its own."""


class Sweep(NamedTuple):
    """Runs of one algorithm in one environment that differ in one number alone, by its value.

    Attributes:
        environment: of all of them.
        label: of a line: that of the runs without the value.
        name: of the hyperparameter.
        values: in ascending order.
        runs: one a value.
    """

    environment: str
    label: str
    name: str
    values: tuple[float, ...]
    runs: tuple[Run, ...]


class Line(NamedTuple):
    """A sweep on its axis.

    Attributes:
        sweep: what is drawn.
        axis: `BOX` where the runs were judged and the value is the box's, else the name.
        places: of the values on that axis; of a box in standard deviations of the latents.
        clone: the run whose decoder all of them share, if it learned hardly any policy of its own:
            what the latent space does at the centre of its boxes.
    """

    sweep: Sweep
    axis: str
    places: tuple[float, ...]
    clone: Run | None


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
    return sorted(found, key=lambda sweep: (sweep.name, sweep.environment, sweep.label))


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
            min((_without_value(run.label, name) for run in members.values()), key=len),
            name,
            tuple(sorted(members)),
            tuple(members[value] for value in sorted(members)),
        )
        for members in alike.values()
        if len(members) >= LEAST
    ]


def _without_value(label: str, name: str) -> str:
    """`PLAS` for `PLAS, latent_clip=0.5`: members of a sweep are labelled so."""
    return label.split(f", {name}=")[0]


def find_lines(runs: Sequence[Run], mode: str) -> list[Line]:
    """The sweeps of these runs, each on its axis; arguments as of `find_sweeps`."""
    return [_line(sweep, runs) for sweep in find_sweeps(runs, mode)]


def _line(sweep: Sweep, runs: Sequence[Run]) -> Line:
    judged = [next(iter(read_judged(run).values()), None) for run in sweep.runs]
    widths = tuple(one.width for one in judged if one is not None and one.width is not None)
    is_box = len(set(widths)) == len(sweep.values)
    clone = next((run for run in runs if _is_clone_of(run, sweep)), None)
    return Line(sweep, *((BOX, widths) if is_box else (sweep.name, sweep.values)), clone)


def _is_clone_of(run: Run, sweep: Sweep) -> bool:
    """Did all runs of the sweep take over its model, and it train a policy for one update at most?

    Folders are compared by their last two names: a study may have been moved.
    """
    models = {_ending(x.model) for member in sweep.runs for x in member.origins}
    trained = sum(steps for _, steps in run.phases[1:])
    return models == {_ending(run.folders[0].absolute())} and trained <= 1


def _ending(path: Path | None) -> tuple[str, ...]:
    return () if path is None else path.parts[-2:]
