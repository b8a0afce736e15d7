"""How last policies depend on one hyperparameter: score, distance from the data, value error.

A drawing for each swept hyperparameter, a line for each method.  Half widths of boxes share one
drawing, whatever each method calls its own, in standard deviations of its latents.  Distance and
value error are drawn where the runs were judged (`shared/comparison/judged.py`).
"""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.comparison import panels
from shared.comparison.drawing import Drawing
from shared.comparison.judged import Judged, read_judged
from shared.comparison.record import Run
from shared.comparison.rows import final_means
from shared.comparison.sweeps import BOX, Line, find_lines

WIDE = 10.0
"""From this size on value errors are drawn on a symmetric logarithmic axis."""
COLUMNS = (
    "environment", "label", "hyperparameter", "value", "mode", "seed", "return", "score",
    "width", "distance", "beyond", "believed", "earned", "unit", "value_error",
)  # fmt: skip


class Measure(NamedTuple):
    """One panel of an environment: what of a run is drawn, `(run, mode, value) -> seed -> number`.

    `value` is `score` or `return_`, whichever the panel's runs have.
    """

    name: str
    of: Callable[[Run, str, str], dict[int, float]]


def _judged(name: str) -> Callable[[Run, str, str], dict[int, float]]:
    def of(run: Run, mode: str, value: str) -> dict[int, float]:
        found = {seed: getattr(one, name) for seed, one in read_judged(run).items()}
        return {seed: number for seed, number in found.items() if number is not None}

    return of


SCORE = Measure("normalized score", final_means)
DISTANCE = Measure(
    "distance from the recorded actions\n(standard deviations of theirs)", _judged("distance")
)
ERROR = Measure(
    "value error: believed less earned\n(standard deviations of returns)", _judged("value_error")
)


def sensitivity(runs: Sequence[Run], mode: str) -> list[Drawing]:
    """The drawings of all swept hyperparameters; a row of panels an environment.

    Args:
        runs: pooled.
        mode: `deterministic` or `sampled`, of the scores; what is judged is deterministic.

    Raises:
        RunError: what was judged is damaged.
    """
    lines, drawings = find_lines(runs, mode), []
    for name in sorted({line.axis for line in lines}):
        own = [line for line in lines if line.axis == name]
        judged = any(read_judged(run) for line in own for run in line.sweep.runs)
        measures = (SCORE, DISTANCE, ERROR) if judged else (SCORE,)
        beside = _without_box(runs, mode) if name == BOX else []
        drawings.append(
            Drawing(
                f"sensitivity-{name.replace(' ', '-')}",
                f"Sensitivity to {'the width of the box' if name == BOX else name}",
                _caption(name, judged),
                tuple(
                    partial(_draw, own, beside, environment, measure, mode)
                    for environment in sorted({line.sweep.environment for line in own})
                    for measure in measures
                ),
                columns=len(measures) if judged else 0,
            )
        )
    return drawings


def _caption(name: str, judged: bool) -> str:
    told = (
        "Runs that differ in this hyperparameter alone: mean of the last policy over seeds, with "
        "its 95 % bootstrap interval (the range of two)."
    )
    if judged:
        told += (
            " Distance: root mean square of the deterministic action less the recorded one, at "
            "rows of a tenth of the episodes; an action that never changes has 1. Value error: "
            "what the critics believe at the starts of episodes less the discounted return earned "
            "from there, in standard deviations of the data's discounted returns; above 0 is "
            "overestimation."
        )
    if name == BOX:
        told += (
            " Widths are half widths in standard deviations of the latent. Hollow, at 0: the "
            "latent space's own clone. Horizontal: methods without a box."
        )
    return told


def _without_box(runs: Sequence[Run], mode: str) -> list[Run]:
    """Scored runs without a box, once judged, that train no model for the others."""
    taken = {x.model and x.model.name for run in runs for x in run.origins}
    return [
        run
        for run in runs
        if run.final_episodes(mode)
        and any(one.width is None for one in read_judged(run).values())
        and run.folders[0].name not in taken
    ]


def _draw(
    lines: Sequence[Line],
    beside: Sequence[Run],
    environment: str,
    measure: Measure,
    mode: str,
    axis: Any,
) -> None:
    labels = list(dict.fromkeys(line.sweep.label for line in lines))
    own = [line for line in lines if line.sweep.environment == environment]
    runs = [run for line in own for run in line.sweep.runs]
    value, drawn = panels.value_of(runs), []
    for line in own:
        color, marker, dashes = panels.look(labels.index(line.sweep.label))
        found = [np.array(list(measure.of(r, mode, value).values())) for r in line.sweep.runs]
        points = [(x, seeds) for x, seeds in zip(line.places, found, strict=True) if len(seeds)]
        for x, seeds in points:
            if len(seeds) > 1:
                low, high = panels.band(seeds[None])
                axis.plot((x, x), (low[0], high[0]), "-", color=color, linewidth=4, alpha=0.3)
        drawn += [seeds.mean() for _, seeds in points]
        label = panels.plain(line.sweep.label)
        at = [x for x, _ in points], [seeds.mean() for _, seeds in points]
        axis.plot(*at, dashes, color=color, marker=marker, label=label)
        clone = [] if line.clone is None else list(measure.of(line.clone, mode, value).values())
        if line.axis == BOX and clone and measure is not ERROR:  # its critics have learned nothing
            axis.plot(0.0, np.mean(clone), marker, color=color, fillstyle="none")
    for k, run in enumerate(run for run in beside if run.environment == environment):
        numbers = list(measure.of(run, mode, value).values())
        if numbers:
            style = ((0, (5, 2)), (0, (2, 2)), (0, (5, 2, 1, 2)))[k % 3]
            name = panels.plain(run.label)
            axis.axhline(np.mean(numbers), color="black", linestyle=style, linewidth=1, label=name)
    _finish(axis, measure, runs, environment, drawn)
    _ticks(axis, own)


def _finish(axis, measure: Measure, runs: Sequence[Run], environment: str, drawn: list) -> None:
    """Names and reference lines of a panel."""
    if measure is SCORE:
        panels.finish(axis, runs, environment)
        return
    axis.set_title(f"{panels.plain(environment)}\n{panels.sources(runs)}")
    axis.set_ylabel(measure.name)
    axis.margins(y=0.08)
    if measure is DISTANCE:
        line = {"color": panels.GREY, "linestyle": ":", "linewidth": 1.3}
        axis.axhline(1.0, label="one action everywhere", **line)
    else:
        axis.axhline(0.0, color=panels.GREY, linewidth=1.0)
        if np.max(np.abs(drawn), initial=0.0) > WIDE:
            axis.set_yscale("symlog", linthresh=1.0)


def _ticks(axis: Any, lines: Sequence[Line]) -> None:
    """The values themselves, on a logarithmic axis where they span much."""
    every = sorted({x for line in lines for x in line.places})
    if lines[0].axis == BOX:
        axis.set_xlabel("half width of the box (standard deviations of the latent)")
        axis.set_xlim(left=min(0.0, axis.get_xlim()[0]))
        panels.plain_ticks(axis)
        return
    axis.set_xlabel(lines[0].axis)
    plain = min(every) <= 0 or max(every) / min(every) < 8
    axis.set_xscale("linear" if plain else "log")
    axis.set_xticks(every, [f"{x:g}" for x in every])
    axis.minorticks_off()


def write_points(runs: Sequence[Run], mode: str, path: Path) -> Path | None:
    """Every point of the drawings, a line a seed, unrounded; None, and no file, without a sweep."""
    lines = find_lines(runs, mode)
    if not lines:
        return None
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in lines:
            for value, run in zip(line.sweep.values, line.sweep.runs, strict=True):
                who = line.sweep.environment, line.sweep.label, line.sweep.name, value, mode
                _write_run(writer, who, run, mode)
    return path


def _write_run(writer: Any, who: tuple, run: Run, mode: str) -> None:
    judged = read_judged(run)
    scores = final_means(run, mode)
    for seed, return_ in final_means(run, mode, "return_").items():
        one = judged.get(seed)
        blanks = ("",) * (len(Judged._fields) + 1)
        told = blanks if one is None else (*one, one.value_error)
        score = "" if scores[seed] != scores[seed] else scores[seed]
        writer.writerow((*who, seed, return_, score, *("" if x is None else x for x in told)))
