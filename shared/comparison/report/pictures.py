"""A report as one picture: the summary table, and below it every figure."""

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared.comparison import panels
from shared.comparison.drawing import Drawing, save
from shared.comparison.report.content import Report
from shared.comparison.report.matrix import Cell, Matrix

LABEL, COLUMN = 2.6, 1.35
"""Inches of the columns of the summary."""


def drawings_of(report: Report) -> Iterator[Drawing]:
    """All that a picture shows, from top to bottom."""
    for k, matrix in enumerate(report.matrices):
        yield _table(matrix, report.title if k == 0 else "")
    yield from report.curves.values()
    yield from report.drawings


def write_png(report: Report, path: Path) -> None:
    """Stack the figures."""
    stack(drawings_of(report), path)


def stack(drawings: Iterable[Drawing], path: Path) -> None:
    """Write drawings as one picture, one below the other, white beside the narrower ones."""
    from matplotlib import image

    pictures = []
    for drawing in drawings:
        file = io.BytesIO()
        save(drawing, file, kind="png")
        file.seek(0)
        pictures.append(image.imread(file)[..., :3])
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=1.0) for p in pictures
    ]
    image.imsave(path, np.concatenate(padded), metadata={"Software": None})


def write_svg(report: Report, path: Path) -> None:
    """Stack the figures as one document."""
    parts, top, width = [], 0.0, 0.0
    for k, drawing in enumerate(drawings_of(report)):
        file = io.StringIO()
        save(drawing, file, kind="svg")
        svg = file.getvalue()
        svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>f{k}-", svg[svg.index("<svg") :])
        own_width, own_height = (
            float(x) for x in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0]
        )
        parts.append(svg.replace("<svg", f'<svg y="{top:g}"', 1))
        top, width = top + own_height, max(width, own_width)
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    size = f'width="{width:g}pt" height="{top:g}pt" viewBox="0 0 {width:g} {top:g}"'
    path.write_text("\n".join([f"{head} {size}>", *parts, "</svg>\n"]), encoding="utf-8")


def write_pdf(report: Report, path: Path) -> None:
    """A page a figure."""
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(path, metadata=panels.NAMELESS["pdf"]) as pages:
        for drawing in drawings_of(report):
            save(drawing, pages, kind="pdf")


def _table(matrix: Matrix, title: str) -> Drawing:
    def draw(axis: Any) -> None:
        axis.set_axis_off()
        axis.set_title(panels.plain(title), loc="left")
        axis.set(xlim=(0, 1), ylim=(len(matrix.lines) + 1, 0))
        first = LABEL / (LABEL + COLUMN * len(matrix.columns))
        step = (1 - first) / len(matrix.columns)
        for k, name in enumerate(matrix.columns):
            axis.text(first + (k + 1) * step, 0.5, panels.plain(name), ha="right", fontsize=7.5)
        for row, line in enumerate(matrix.lines, start=1):
            color = "black" if line.kind == "measured" else panels.GREY
            look = {"color": color, "fontsize": 7.5, "va": "center"}
            look["style"] = "italic" if line.kind == "reported" else "normal"
            axis.text(0, row + 0.5, panels.plain(line.label), **look)
            for k, cell in enumerate(line.cells):
                weight = "bold" if cell and cell.best else "normal"
                place = (first + (k + 1) * step, row + 0.5)
                axis.text(*place, _text(cell), ha="right", weight=weight, **look)
        axis.axhline(1, color="black", linewidth=0.8)

    width, height = LABEL + COLUMN * len(matrix.columns), 0.7 + 0.2 * len(matrix.lines)
    return Drawing("summary", title, "", (draw,), width, (height,))


def _text(cell: Cell | None) -> str:
    return "–" if cell is None else " ".join(filter(None, (cell.value, cell.spread)))
