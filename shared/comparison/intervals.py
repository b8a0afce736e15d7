"""Means with their intervals side by side, and how often one algorithm beats another."""

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from shared.comparison import panels
from shared.comparison.across import Aggregate, Pair
from shared.comparison.drawing import Drawing
from shared.comparison.record import Run
from shared.comparison.rows import Row, final_means
from shared.comparison.statistics import Interval

MANY = 6
"""Of more algorithms only the pairs with the first one are drawn."""
LETTERS = 30
"""Of a name beside an axis; a longer one goes on in the next line."""
LINE = 0.15
"""Inches that a further line of a name takes."""


def intervals(
    rows: Sequence[Row], aggregates: Sequence[Aggregate], runs: Sequence[Run], mode: str
) -> Drawing:
    """A panel an environment, and one of all: means or IQM as bars, seeds as dots.

    Args:
        rows: as `rows.make_rows` makes them.
        aggregates: as `across.make_aggregates` makes them.
        runs: pooled; of these are the seeds.
        mode: `deterministic` or `sampled`.
    """
    labels = list(dict.fromkeys(run.label for run in runs))
    chosen = [a for a in aggregates if a.mode == mode]
    draw = []
    if chosen:
        bars = [(a.label, a.score_iqm, a.score_iqm_interval, np.zeros(0)) for a in chosen]
        count = panels.counted(len(chosen[0].environments), "environment")
        draw.append(partial(_bars, bars, labels, f"all: IQM over {count}", "normalized score"))
    for environment in dict.fromkeys(row.environment for row in rows):
        own = [row for row in rows if (row.environment, row.mode) == (environment, mode)]
        bars = [_bar(row, runs) for row in own]
        unit = "normalized score" if all(row.scored for row in own) else "return"
        if own:
            draw.append(partial(_bars, bars, labels, environment, unit))
    return Drawing(
        "intervals",
        "Final scores with their intervals",
        "Bars: 95 % bootstrap intervals over seeds (of the interquartile mean and within each "
        "environment for all together); points: means, small dots: seeds. A single seed has no "
        "interval.",
        tuple(draw),
        heights=tuple(0.8 + _height([bar[0] for bar in each.args[0]]) for each in draw),
    )


def _bar(row: Row, runs: Sequence[Run]) -> tuple[str, float, Interval | None, np.ndarray]:
    value = "score" if row.scored else "return_"
    seeds = [
        list(final_means(run, row.mode, value).values())
        for run in runs
        if (run.environment, run.label) == (row.environment, row.label)
    ]
    mean = row.score_mean if row.scored else row.return_mean
    return row.label, mean, row.interval, np.concatenate(seeds)


def _bars(bars: Sequence[tuple], labels: Sequence[str], title: str, unit: str, axis: Any) -> None:
    places = {label: -k for k, (label, *_) in enumerate(bars)}
    for label, mean, interval, seeds in bars:
        color, marker, _ = panels.look(labels.index(label))
        y = places[label]
        if interval is not None:
            axis.plot(interval, (y, y), "-", color=color, linewidth=5, alpha=0.35)
        axis.plot(seeds, np.full(len(seeds), y), "o", color=color, markersize=2.5)
        axis.plot([mean], [y], marker, color=color, markersize=6.5)
    axis.set_yticks(list(places.values()), [_wrapped(label) for label in places])
    axis.set_ylim(-len(places) + 0.4, 0.6)
    axis.grid(axis="y", visible=False)
    axis.set_title(panels.plain(title))
    axis.set_xlabel(unit)


def _wrapped(name: str) -> str:
    return panels.plain("\n".join(textwrap.wrap(name, LETTERS)))


def _height(names: Sequence[str]) -> float:
    """Inches of rows with these names, all as high as the highest."""
    lines = max((len(textwrap.wrap(name, LETTERS)) for name in names), default=1)
    return (0.24 + LINE * (lines - 1)) * len(names)


def _named(pair: Pair) -> str:
    return f"{pair.first} > {pair.second}"


def improvements(pairs: Sequence[Pair], mode: str) -> Drawing:
    """P(first > second) of every pair in `mode`, with its interval; `MANY` says of how many."""
    chosen = [pair for pair in pairs if pair.mode == mode]
    labels = dict.fromkeys(label for pair in chosen for label in (pair.first, pair.second))
    if len(labels) > MANY:
        first = next(iter(labels))
        chosen = [pair for pair in chosen if first in (pair.first, pair.second)]
    return Drawing(
        "improvement",
        "Probability of improvement",
        "The probability that a run of the first scores higher than one of the second, averaged "
        "over the environments of both; bars: 95 % bootstrap intervals. At one half neither is "
        "better.",
        (partial(_improvements, chosen),),
        width=5.4,
        heights=(0.7 + _height([_named(pair) for pair in chosen]),),
    )


def _improvements(pairs: Sequence[Pair], axis: Any) -> None:
    axis.axvline(0.5, color=panels.GREY, linestyle="--", linewidth=1.3)
    names = []
    for k, pair in enumerate(pairs):
        better = 0 if pair.improvement >= 0.5 else 1
        color = panels.COLORS[better]
        if pair.improvement_interval is not None:
            axis.plot(
                pair.improvement_interval, (-k, -k), "-", color=color, linewidth=5, alpha=0.35
            )
        axis.plot([pair.improvement], [-k], "o", color=color, markersize=6)
        names.append(_wrapped(_named(pair)))
    axis.set_yticks([-k for k in range(len(names))], names)
    axis.set_ylim(-len(names) + 0.4, 0.6)
    axis.set_xlim(-0.04, 1.04)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("P(first > second)")
