"""What a report says, before it becomes a page, a table or a picture."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.comparison.cost import Cost, costs
from shared.comparison.drawing import Drawing
from shared.comparison.intervals import improvements, intervals
from shared.comparison.plots import curves, profiles
from shared.comparison.record import AXES, Run, pool
from shared.comparison.report.matrix import Matrix, make_matrices
from shared.comparison.reported import Figure, figures_for
from shared.comparison.sensitivity import sensitivity
from shared.comparison.summary import summarize
from shared.comparison.values import values
from shared.errors import RunError
from shared.record.schema import MODES


class Report(NamedTuple):
    """All parts of a report.

    Attributes:
        title: heading.
        question: what the runs were made to answer; may be empty.
        mode: of the policies in summary and figures.
        runs: pooled; a place in this list is the number of a run on the page.
        summary: as `summarize` makes it, in the modes that were asked for.
        matrices: blocks of the summary table.
        curves: axis -> learning curves.
        drawings: all other figures.
        costs: one a run.
        reported: published figures that are shown beside.
    """

    title: str
    question: str
    mode: str
    runs: list[Run]
    summary: dict[str, Any]
    matrices: list[Matrix]
    curves: dict[str, Drawing]
    drawings: list[Drawing]
    costs: list[Cost]
    reported: list[Figure]


def make_report(
    runs: Sequence[Run], *, title: str = "Comparison", question: str = "", mode: str = "both"
) -> Report:
    """Everything that can be said of these runs.

    Args:
        runs: as `read_run` returns them.
        title: heading.
        question: what the runs were made to answer, one paragraph.
        mode: `deterministic`, `sampled` or `both`, which shows the first that there is.

    Raises:
        RunError: no run was evaluated in this mode.
    """
    summary = summarize(runs, mode)
    require_scores(summary, mode)
    pooled = pool(runs)
    chosen = next(m for m in MODES if any(row.mode == m for row in summary["rows"]))
    rows = [row for row in summary["rows"] if row.mode == chosen]
    aggregates = [a for a in summary["aggregates"] if a.mode == chosen]
    algorithms = list(dict.fromkeys(row.algorithm for row in rows))
    reported = figures_for({row.environment for row in rows}, algorithms)
    known = [axis for axis in AXES if axis != "cpu-hours" or _know_cpu_time(pooled, chosen)]
    return Report(
        title,
        question,
        chosen,
        pooled,
        summary,
        make_matrices(rows, pooled, aggregates, reported),
        {axis: curves(runs, mode=chosen, axis=axis) for axis in known},
        _drawings(pooled, summary, rows, chosen),
        costs(pooled),
        reported,
    )


def require_scores(summary: dict[str, Any], mode: str) -> None:
    """Raise a RunError if no run was evaluated in this mode."""
    if not summary["rows"]:
        kind = "" if mode == "both" else f"{mode} "
        raise RunError(
            f"the runs have no {kind}evaluation yet; train until the first one is done (without a "
            "simulator there is never one)."
        )


def _know_cpu_time(runs: Sequence[Run], mode: str) -> bool:
    """Of all that are drawn: a panel without some lines would mislead."""
    scored = [run for run in runs if run.final_episodes(mode)]
    return all(run.origins and run.origins[0].cores is not None for run in scored)


def _drawings(runs: Sequence[Run], summary: dict[str, Any], rows: Sequence, mode: str):
    aggregates = [a for a in summary["aggregates"] if a.mode == mode]
    pairs = [pair for pair in summary["pairs"] if pair.mode == mode]
    found = [intervals(rows, aggregates, runs, mode)]
    if aggregates:
        found.append(profiles(runs, mode=mode))
    if pairs:
        found.append(improvements(pairs, mode))
    believed = values(runs, mode=mode)
    return [*found, *([believed] if believed else []), *sensitivity(runs, mode)]
