"""What critics believe, beside what their policies earn (C-LAP, figure 6; PLAS, figure 5)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from shared.comparison import panels
from shared.comparison.csv_tables import Metrics
from shared.comparison.drawing import Drawing
from shared.comparison.plots import seed_means
from shared.comparison.record import Run

AT_STARTS = "value_at_starts"
VALUES = (AT_STARTS, "q", "value")
"""Metrics that are means of estimated values; of a run the first that it has is drawn."""
DATA_VALUES = {
    "data_at_starts": ("data, mean at episode starts", "--"),
    "data_best": ("data, best", ":"),
}
"""Discounted returns of the data's own policy, in the units of the values."""


def values(runs: Sequence[Run], *, mode: str = "deterministic") -> Drawing | None:
    """Two panels an environment: scores, and estimated values; None where no run has both.

    Args:
        runs: pooled.
        mode: `deterministic` or `sampled`.

    Raises:
        RunError: if a metrics table is missing or damaged.
    """
    labels = list(dict.fromkeys(run.label for run in runs))
    tables = [(run, run.metrics()) for run in runs if run.final_episodes(mode)]
    tables = [(run, table) for run, table in tables if len(_value_of(table)[0])]
    draw = []
    for environment in sorted({run.environment for run, _ in tables}):
        group = [(run, table) for run, table in tables if run.environment == environment]
        draw += [partial(part, group, labels, environment, mode) for part in (_scores, _values)]
    if not draw:
        return None
    return Drawing(
        "values",
        "Value estimates beside scores",
        "Left: scores. Right: what the critics expect, mean over seeds: the value at the starts of "
        "episodes, or Q of the data where that was not recorded. Values are discounted returns in "
        "the units in which each method learns rewards, so compare the course of a line, not two "
        "methods: where a value climbs while the score falls, it is overestimated.",
        tuple(draw),
        columns=2,
    )


def draw_data(axis: Any, table: Metrics) -> None:
    """What the data's own policy earned, as grey lines."""
    for name, (text, style) in DATA_VALUES.items():
        _, means = seed_means(table, name)
        if len(means):
            axis.axhline(means[-1], color=panels.GREY, linestyle=style, linewidth=1.3, label=text)


def _value_of(table: Metrics):
    found = (seed_means(table, name) for name in VALUES)
    return next((pair for pair in found if len(pair[0])), ((), ()))


def _scores(group, labels: Sequence[str], environment: str, mode: str, axis: Any) -> None:
    runs = [run for run, _ in group]
    for run in runs:
        steps, scores = run.curve(mode, panels.value_of(runs))
        panels.draw_line(axis, steps, scores, run.label, labels.index(run.label))
    panels.finish(axis, runs, environment)
    axis.set_xlabel(f"updates (all phases), {mode} policy")


def _values(group, labels: Sequence[str], environment: str, mode: str, axis: Any) -> None:
    """The lines are named by those of the scores, which look alike."""
    for run, table in group:
        steps, means = _value_of(table)
        color, marker, line = panels.look(labels.index(run.label))
        every = max(1, len(steps) // 12)
        axis.plot(steps, means, line, color=color, marker=marker, markevery=every)
    draw_data(axis, group[0][1])
    axis.set_title(f"{panels.plain(environment)}\nestimated values")
    axis.set_ylabel("discounted return, as learned")
    axis.set_xlabel("updates (all phases)")
    panels.thousands(axis)
