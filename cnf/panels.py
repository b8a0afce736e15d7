"""Square panels over [-1, 1]², which the figures of the two moons are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cnf.moons import QUANTILE

COLORS = ("#D55E00", "#0072B2", "#009E73")
DATA_COLOR = "#B8B8B8"
SHOWN = 2000
OUTSIDE = f"farther from the data than {QUANTILE:.1%} of fresh data"


@contextmanager
def panels(rows: int, columns: int, path: Path, *, dpi: int = 150) -> Iterator[tuple[Any, Any]]:
    """A figure of square panels over [-1, 1]², written to `path` in the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # No pyplot: it would keep the figure and may ask for a display.
    figure = Figure(figsize=(3.1 * columns + 0.6, 3.1 * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat:
        axis.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        axis.title.set_fontsize(10)
    yield figure, axes
    figure.savefig(path, format="png", dpi=dpi, metadata={"Software": None})


def draw_points(axis: Any, points: np.ndarray, color: str) -> None:
    """The first `SHOWN` points."""
    axis.scatter(*points[:SHOWN].T, s=3, color=color, alpha=0.6, linewidths=0)
