"""A report as one HTML page that needs nothing else: no network, no script, no other file."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from shared.comparison.cost import CAPTION, COLUMNS, cost_cells
from shared.comparison.numbers import format_count, format_interval, format_number
from shared.comparison.report.content import Report
from shared.comparison.report.details import details_of
from shared.comparison.report.films import films_of
from shared.comparison.report.inline import inline
from shared.comparison.rows import Row
from shared.record.usage import version

AXES = {"updates": "updates", "hours": "training time", "cpu-hours": "CPU time"}
"""Names of the tabs of the learning curves."""


def write(report: Report, path: Path) -> None:
    """Write the page; see `write_report`."""
    path.write_text(render("page.html", _content(report)) + "\n", encoding="utf-8")


def render(template: str, content: dict[str, Any]) -> str:
    """A page of `templates`, with the style that all of them share as `style`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("shared.comparison.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("shared.comparison.report.templates") / "page.css"
    return environment.get_template(template).render(
        style=style.read_text(encoding="utf-8"), **content
    )


def _content(report: Report) -> dict[str, Any]:
    """What the template shows, by name."""
    rows = [row for row in report.summary["rows"]]
    return {
        "report": report,
        "facts": _facts(report),
        "curves": [(AXES[axis], axis, inline(drawing)) for axis, drawing in report.curves.items()],
        "figures": [inline(drawing) for drawing in report.drawings],
        "blocks": _blocks(rows, report),
        "pairs": [_pair(pair) for pair in report.summary["pairs"] if pair.mode == report.mode],
        "cost_columns": COLUMNS,
        "cost_caption": CAPTION,
        "costs": [cost_cells(cost) for cost in report.costs],
        "cost_runs": [report.runs.index(cost.run) for cost in report.costs],
        "films": films_of(report.runs),
        "sources": list(dict.fromkeys(figure.source for figure in report.reported)),
        "details": details_of(report.runs),
        "version": version(),
    }


def _facts(report: Report) -> list[str]:
    """What is compared, in a few words."""

    def counted(number: int, noun: str) -> str:
        return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

    runs = report.runs
    return [
        counted(sum(len(run.folders) for run in runs), "run folder"),
        counted(sum(len(run.seeds) for run in runs), "trained policy").replace(
            "policys", "policies"
        ),
        counted(len({run.environment for run in runs}), "data set"),
        "data: " + ", ".join(sorted({run.source for run in runs})),
        f"{report.mode} policies, last evaluation of each seed",
    ]


def _blocks(rows: Sequence[Row], report: Report) -> dict[str, list[dict[str, Any]]]:
    """Environment -> all numbers of its rows as texts, with the number of their run."""
    places = {(run.environment, run.label): k for k, run in enumerate(report.runs)}
    blocks: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        entry = {
            "run": places[row.environment, row.label],
            "label": row.label,
            "mode": row.mode,
            "score": format_number(row.score_mean),
            "return": format_number(row.return_mean),
            "interval": format_interval(row.interval),
            "iqm": format_number(row.iqm),
            "seeds": len(row.seeds),
            "episodes": row.episodes,
            "step": format_count(row.step),
        }
        blocks.setdefault(row.environment, []).append(entry)
    return blocks


def _pair(pair) -> tuple[str, ...]:
    """Texts of one pair: both labels, how many environments, probability, difference."""
    difference = "n/a (other seeds)" if pair.difference is None else format_number(pair.difference)
    return (
        pair.first,
        pair.second,
        str(len(pair.environments)),
        format_number(pair.improvement, 2),
        format_interval(pair.improvement_interval, 2),
        difference,
        "" if pair.difference is None else format_interval(pair.difference_interval),
    )
