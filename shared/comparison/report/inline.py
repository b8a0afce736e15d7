"""Panels as SVG that lies inside a page: its colors follow light and dark, its words are words."""

import io
import re
from typing import Any, NamedTuple

from shared.comparison import panels
from shared.comparison.drawing import Drawing

WIDTH, HEIGHT = 4.4, 3.1
"""Inches of a panel; a page scales it to the width that it has."""
INK = "#1B1F24"
TOKENS = {
    INK: "ink",
    "#555555": "muted",
    "#666666": "axis",
    "#E6E6E6": "rule",
    **{color: f"c{k}" for k, color in enumerate(panels.COLORS)},
}
"""Colors of the figures, each with the variable of the page's style that takes its place."""
STYLE: dict[Any, Any] = {
    **panels.STYLE,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
    "font.size": 9,
    "axes.titlesize": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "latent-policies",
}


class Key(NamedTuple):
    """One line of a legend: a small drawing, and its text."""

    mark: str
    text: str


class Inline(NamedTuple):
    """A drawing as a page shows it: panels, pixels of the widest, and a legend for all of them."""

    drawing: Drawing
    panels: list[str]
    width: int
    legend: list[Key]


def inline(drawing: Drawing) -> Inline:
    """Draw every panel of a drawing for a page."""
    import matplotlib

    found, keys = [], {}
    with matplotlib.rc_context(STYLE):
        for k, draw in enumerate(drawing.panels):
            size = drawing.width or WIDTH, drawing.heights[k] if drawing.heights else HEIGHT
            svg, named = _panel(draw, f"{drawing.name}-{k}-", size)
            found.append(svg)
            keys |= {text: keys.get(text, mark) for text, mark in named.items()}
    data = [text for text in keys if text.startswith("data")]
    order = [text for text in keys if text not in data] + data
    legend = [Key(keys[text], text.replace(r"\$", "$")) for text in order]
    return Inline(drawing, found, round(120 * (drawing.width or WIDTH)), legend)


def _panel(draw, prefix: str, size: tuple[float, float]) -> tuple[str, dict[str, str]]:
    """The SVG of one panel, and text -> mark of what it names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axis = figure.subplots()
    axis.set_gid("panel")
    draw(axis)
    file = io.StringIO()
    metadata = panels.NAMELESS["svg"] | {"Format": None, "Type": None}
    figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    lines, texts = axis.get_legend_handles_labels()
    marks = {text: _mark(line) for line, text in zip(lines, texts, strict=True)}
    return themed(file.getvalue(), prefix), marks


def themed(svg: str, prefix: str) -> str:
    """An SVG document as a part of a page: ids of its own, colors and fonts of the page.

    Args:
        svg: as matplotlib writes it.
        prefix: put before its ids, which must differ on a page.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"', r"\1\2", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"([^>]*?) height="[^"]*"', r"\1\2", svg, count=1)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{prefix}", svg).replace("xlink:href", "href")
    svg = re.sub(r"(font: [0-9. a-z]*px )[^;\"]*", r"\1var(--font)", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
    svg = svg.replace("<svg", '<svg aria-hidden="true"', 1)
    for color, token in TOKENS.items():
        svg = re.sub(color, f"var(--{token})", svg, flags=re.IGNORECASE)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _mark(line: Any) -> str:
    """A stretch of a line with its marker, 30 × 12 units."""
    color = TOKENS.get(line.get_color(), "ink")
    dashes = {"-": "", "--": "6 3", "-.": "6 3 1.5 3", ":": "1.5 2.5"}.get(line.get_linestyle())
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    stroke = f'<path d="M1 6H29" fill="none" stroke="var(--{color})" stroke-width="2"{dashed}/>'
    return f'<svg viewBox="0 0 30 12" aria-hidden="true">{stroke}{_marker(line, color)}</svg>'


def _marker(line: Any, color: str) -> str:
    from matplotlib.markers import MarkerStyle

    if line.get_marker() in ("None", "", " ", None):
        return ""
    style = MarkerStyle(line.get_marker())
    shapes: Any = style.get_path().transformed(style.get_transform()).to_polygons()
    corners = ("L".join(f"{15 + 7 * x:.2f} {6 - 7 * y:.2f}" for x, y in shape) for shape in shapes)
    path = "".join(f"M{corner}Z" for corner in corners)
    return f'<path d="{path}" fill="var(--{color})"/>'
