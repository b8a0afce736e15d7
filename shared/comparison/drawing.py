"""A figure before it is drawn: panels that any page can lay out in its own way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from shared.comparison import legends, panels


class Drawing(NamedTuple):
    """Panels that belong together.

    Attributes:
        name: one word, for names of files.
        title: heading on a page.
        caption: a sentence or two on what is drawn.
        panels: each draws on the axes that it is given.
        width: inches of a panel, None for the usual ones.
        heights: inches of each panel, empty for the usual ones.
        columns: panels that belong into one row, 0 for as many as there is room for.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Callable[[Any], None], ...]
    width: float | None = None
    heights: tuple[float, ...] = ()
    columns: int = 0


def save(drawing: Drawing, path: Any, *, kind: str = "") -> None:
    """Draw all panels in one figure with one legend; see `panels.figure_of` for the arguments."""
    count = len(drawing.panels)
    layout = {
        "width": drawing.width,
        "height": max(drawing.heights, default=None),
        "columns": drawing.columns or panels.COLUMNS,
    }
    with panels.figure_of(count, path, kind=kind, **layout) as (figure, axes):
        for draw, axis in zip(drawing.panels, axes, strict=True):
            draw(axis)
        legends.legend_of(figure, axes)


def saved(drawing: Drawing, path: Path) -> Path:
    """The same, for functions that return where they wrote."""
    save(drawing, path)
    return path
