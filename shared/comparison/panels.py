"""The parts that the plots are made of: a figure, lines with bands, axes in two units.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart;
markers repeat the distinction for print in grey.  Matplotlib is imported
inside functions and draws without a display.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.comparison.record import Run
from shared.comparison.statistics import bootstrap_interval, mean

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B4C9A", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#555555"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
}
LINES = ("-", "-.", ":")
"""Colours and markers go round with each of them, the markers a place ahead each time."""
COLUMNS = 3
FEWEST_SEEDS = 3
"""With fewer seeds a band is their range: a bootstrap would give the same and promise more."""
REPETITIONS = 2000


NAMELESS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What each format would say of when and by what it was written; equal runs give equal bytes."""


@contextlib.contextmanager
def figure_of(
    count: int,
    path: Any,
    *,
    kind: str = "",
    width: float | None = None,
    height: float | None = None,
    columns: int = COLUMNS,
) -> Iterator[tuple[Any, list[Any]]]:
    """A figure with `count` panels in rows of up to `columns`; written to `path` in the end.

    Args:
        count: number of panels.
        path: a file whose ending is `.png`, `.svg` or `.pdf`, or an open one.
        kind: the format of an open file.
        width: inches of a panel, if not the usual ones.
        height: the same.
        columns: most panels of a row.

    Yields:
        The figure, and its axes in reading order.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kind = kind or Path(path).suffix[1:]
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "latent-policies"}):
        width = (width or (6.4 if count == 1 else 4.9)) * columns
        height = (height or (4.2 if count == 1 else 3.5)) * rows + (0.4 if count > 1 else 0)
        # No pyplot: it would keep the figure and may ask for a display.
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for empty in panels[count:]:
            empty.remove()
        yield figure, panels[:count]
        metadata = None if kind == "pdf" and not isinstance(path, Path) else NAMELESS[kind]
        figure.savefig(path, format=kind, dpi=150, metadata=metadata)


def look(k: int) -> tuple[str, str, str]:
    """Colour, marker and dashes of line `k`; the first 24 differ."""
    turn = k // len(COLORS)
    return COLORS[k % len(COLORS)], MARKERS[(k + turn) % len(MARKERS)], LINES[turn % len(LINES)]


def draw_line(
    axes: Any, steps: np.ndarray, values: np.ndarray, name: str, k: int, *, style: str = "-"
) -> None:
    """Draw the mean over seeds with its band; the legend names the band and the seeds.

    Args:
        axes: a panel.
        steps: updates, shape (n,).
        values: one column per seed, shape (n, seeds).
        name: for the legend.
        k: number of the line, which picks colour and marker.
        style: of the line; a dashed one lets an equal line below show.
    """
    seeds = values.shape[1]
    color, marker, line = look(k)
    style = style if line == LINES[0] else line
    extent = "" if seeds == 1 else ", min–max" if seeds < FEWEST_SEEDS else ", 95 %"
    text = f"{plain(name)} ({counted(seeds, 'seed')}{extent})"
    every = max(1, len(steps) // 12)
    axes.plot(steps, values.mean(1), style, color=color, marker=marker, markevery=every, label=text)
    if seeds > 1:
        low, high = band(values)
        if len(steps) == 1:  # no line, so the band of a point is a bar
            axes.vlines(steps, low, high, color=color)
        axes.fill_between(steps, low, high, color=color, alpha=0.16, linewidth=0)


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge (n,) over the seeds of `values` (n, seeds), at least two.

    The 95 % bootstrap interval of the mean, or the range for fewer than three seeds.
    """
    if values.shape[1] < FEWEST_SEEDS:
        return values.min(1), values.max(1)
    ends = [bootstrap_interval(mean, [row], repetitions=REPETITIONS) for row in values]
    low, high = np.array([(end.low, end.high) for end in ends if end is not None]).T
    return low, high


def value_of(runs: Sequence[Run]) -> str:
    """What a panel of these runs can show: `score`, or `return_` where scores are missing."""
    scored = all(math.isfinite(e.score) for run in runs for e in run.episodes)
    return "score" if scored else "return_"


def finish(axes: Any, runs: Sequence[Run], title: str) -> None:
    """Give a panel of scores its data line, title and axes; see `legends` for its names."""
    value = value_of(runs)
    data_lines = dict.fromkeys(
        (run.source, run.data.mean_score if value == "score" else run.data.mean_return)
        for run in runs
    )
    for k, (source, height) in enumerate(data_lines):
        if height is not None:
            name = "data mean" if len(data_lines) == 1 else f"data mean ({source})"
            style = ("--", ":", (0, (5, 1, 1, 1)))[k % 3]
            axes.axhline(height, color=GREY, linestyle=style, linewidth=1.3, label=name)
    axes.set_title(f"{plain(title)}\n{sources(runs)}")
    axes.set_ylabel("normalized score" if value == "score" else "return")
    axes.margins(y=0.08)
    thousands(axes)
    line = returns_of_scores(runs) if value == "score" else None
    if line is not None:
        slope, offset = line
        right = axes.secondary_yaxis(
            "right", functions=(lambda y: slope * y + offset, lambda r: (r - offset) / slope)
        )
        right.set_ylabel("return")


def returns_of_scores(runs: Sequence[Run]) -> tuple[float, float] | None:
    """(slope, offset) of return = slope · score + offset, or None if no line fits all episodes."""
    pairs = np.array([(e.score, e.return_) for run in runs for e in run.episodes], np.float64)
    low, high = pairs[pairs[:, 0].argmin()], pairs[pairs[:, 0].argmax()]
    span = high - low
    if span[0] < 1e-6 or span[1] <= 0:
        return None
    slope = span[1] / span[0]
    offset = low[1] - slope * low[0]
    error = np.abs(slope * pairs[:, 0] + offset - pairs[:, 1]).max()
    # The files hold float32 digits; a wrong reference return is off by far more.
    return (float(slope), float(offset)) if error <= 1e-3 * span[1] else None


def sources(runs: Sequence[Run]) -> str:
    """`data: collected`, with every source that occurs."""
    return "data: " + ", ".join(sorted({run.source for run in runs}))


def time_unit(hours: float) -> tuple[str, float]:
    """Name of the unit in which a time reads best, and how many of it are an hour."""
    if hours * 3600 < 180:
        return "seconds", 3600.0
    return ("minutes", 60.0) if hours < 3 else ("hours", 1.0)


def thousands(axes: Any) -> None:
    """Updates as 0, 5k, 10k, 1M."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def plain_ticks(axes: Any) -> None:
    """Times as 0.5, 1, 1.5: `thousands` would write 500m."""
    from matplotlib.ticker import ScalarFormatter

    axes.xaxis.set_major_formatter(ScalarFormatter())


def plain(text: str) -> str:
    """A text that matplotlib shows as it is; a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
