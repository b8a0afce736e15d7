"""A health report as one HTML page that needs nothing else, or as one picture."""

import textwrap
from pathlib import Path
from typing import Any

from shared.comparison import panels
from shared.comparison.drawing import Drawing
from shared.comparison.report.inline import inline
from shared.comparison.report.page import render
from shared.comparison.report.pictures import stack
from shared.health.content import HEAD, Health, check_ending
from shared.record.usage import version

_WIDTH = 118
"""Letters of a line in a picture."""
_TAGS = {"error": "refused", "warning": "told"}


def write_health(health: Health, path: Path) -> Path:
    """Write the report in the format of the file's ending.

    Raises:
        ConfigError: no such format.
    """
    check_ending(path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        stack([_words(health), *map(_titled, health.drawings)], path)
        return path
    content = {
        "health": health,
        "head": HEAD,
        "tags": _TAGS,
        "figures": [inline(drawing) for drawing in health.drawings],
        "version": version(),
    }
    path.write_text(render("health.html", content) + "\n", encoding="utf-8")
    return path


def _titled(drawing: Drawing) -> Drawing:
    """The same with its heading above the first panel."""

    def draw(axis: Any) -> None:
        drawing.panels[0](axis)
        axis.set_title(panels.plain(drawing.title), loc="left")

    return drawing._replace(panels=(draw, *drawing.panels[1:]))


def _words(health: Health) -> Drawing:
    """Title, facts and faults as lines of text."""
    lines = [health.verdict, "; ".join(health.facts), ""]
    for severity, sentence in health.faults:
        lines += textwrap.wrap(f"{_TAGS[severity]}: {sentence}", _WIDTH, subsequent_indent="    ")

    def draw(axis: Any) -> None:
        axis.set_axis_off()
        axis.set_title(panels.plain(health.title), loc="left", fontsize=13)
        axis.set(xlim=(0, 1), ylim=(len(lines) + 0.5, 0))
        for k, line in enumerate(lines):
            axis.text(0, k + 0.5, panels.plain(line), fontsize=8, va="center")

    return Drawing("words", health.title, "", (draw,), 9.6, (0.7 + 0.2 * len(lines),))
