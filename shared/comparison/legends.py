"""Legends outside of the panels: they never cover data."""

import math
from collections.abc import Sequence
from typing import Any

MOST_BELOW = 8
"""More names than these stand beside the panels and not below them."""


def legend_of(figure: Any, axes: Sequence[Any]) -> None:
    """Name the lines of all panels once, outside of them: a legend never covers data.

    Up to `MOST_BELOW` names stand below the panels, more of them beside; the figure grows.
    """
    named = [axis.get_legend_handles_labels() for axis in axes]
    lines = {label: line for pair in named for line, label in zip(*pair, strict=True)}
    data = [label for label in lines if label.startswith("data")]
    names = [label for label in lines if label not in data] + data
    if not names:
        return
    width, height = figure.get_size_inches()
    if len(names) > MOST_BELOW:
        figure.set_size_inches(width + 3.2, max(height, 0.19 * len(names) + 0.4))
        figure.legend([lines[name] for name in names], names, loc="outside right center")
        return
    columns = max(1, min(len(names), int(width / (0.07 * max(map(len, names)) + 0.6))))
    figure.set_size_inches(width, height + 0.2 * math.ceil(len(names) / columns))
    where = "outside lower center"
    figure.legend([lines[name] for name in names], names, loc=where, ncols=columns)


def legends_below(figure: Any, axes: Sequence[Any]) -> None:
    """Name the lines of each panel below it, where panels show different things."""
    named = [axis.get_legend_handles_labels() for axis in axes]
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.19 * max(len(names) for _, names in named))
    for axis, (lines, names) in zip(axes, named, strict=True):
        if names:  # the pad leaves room for the ticks and the name of the axis
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 4.5}
            axis.legend(lines, names, **below)
