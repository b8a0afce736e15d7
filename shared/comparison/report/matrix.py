"""The summary: algorithms in lines, data sets in columns, and marked lines for what is no run."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.comparison.across import Aggregate
from shared.comparison.numbers import digits_of, format_interval, format_number
from shared.comparison.record import Run
from shared.comparison.reported import Figure
from shared.comparison.rows import Row
from shared.environments.scores import normalized_score
from shared.errors import DataError

WIDEST = 7
"""Columns that fit on a screen; more data sets go on in a block below."""


class Cell(NamedTuple):
    """One entry as texts.

    Attributes:
        value: the mean.
        spread: its interval, or what a publication gives behind ±.
        seeds: how many, 0 where that is not known or not meant.
        run: place of its run among the pooled ones, None where it is of no run.
        best: is it the highest measured mean of its column?
    """

    value: str
    spread: str = ""
    seeds: int = 0
    run: int | None = None
    best: bool = False


class Line(NamedTuple):
    """A label with an entry a column; `kind` is `measured`, `data` or `reported`."""

    label: str
    kind: str
    cells: tuple[Cell | None, ...]


class Matrix(NamedTuple):
    """One block of the summary; `columns` are data sets, maybe `all` at the end."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]


ALL = "all (IQM)"


def make_matrices(
    rows: Sequence[Row],
    runs: Sequence[Run],
    aggregates: Sequence[Aggregate],
    reported: Sequence[Figure],
) -> list[Matrix]:
    """The blocks of the summary of one mode.

    Args:
        rows: of one mode, as `rows.make_rows` makes them.
        runs: pooled, in the order in which cells count them.
        aggregates: of this mode; empty where no two environments are shared.
        reported: figures to set beside, whose data sets and algorithms occur.
    """
    environments = list(dict.fromkeys(row.environment for row in rows))
    columns = {name: _column(name, rows, runs, reported) for name in environments}
    if aggregates:
        columns[ALL] = _overall(aggregates)
    names, width = list(columns), WIDEST
    return [
        _block({n: columns[n] for n in names[k : k + width]}) for k in range(0, len(names), width)
    ]


Column = dict[tuple[str, str], Cell]
"""(kind, label) -> entry."""


def _block(columns: dict[str, Column]) -> Matrix:
    order = {"measured": 0, "data": 1, "reported": 2}
    found = dict.fromkeys(key for column in columns.values() for key in column)
    lines = [
        Line(label, kind, tuple(column.get((kind, label)) for column in columns.values()))
        for kind, label in sorted(found, key=lambda key: order[key[0]])
    ]
    return Matrix(tuple(columns), tuple(lines))


def _column(
    environment: str, rows: Sequence[Row], runs: Sequence[Run], reported: Sequence[Figure]
) -> Column:
    own = [row for row in rows if row.environment == environment]
    places = {(run.environment, run.label): k for k, run in enumerate(runs)}
    best = max(row.score_mean if row.scored else row.return_mean for row in own)
    column: Column = {}
    for row in own:
        mean = row.score_mean if row.scored else row.return_mean
        digits = 1 if row.scored else digits_of(mean)
        spread = "" if row.interval is None else format_interval(row.interval, digits)
        place = places[environment, row.label]
        column["measured", row.label] = Cell(
            format_number(mean, digits),
            spread,
            len(row.seeds),
            place,
            len(own) > 1 and mean == best,
        )
    data = {}
    for run in runs:
        if run.environment == environment:  # older runs did not record all of it
            known = data.setdefault((run.source, run.data.sha256), run.data)
            if known.p90_return is None:
                data[run.source, run.data.sha256] = run.data
    for (source, _), record in data.items():
        several = f" {record.sha256[:8]}" if len(data) > 1 else ""
        scored = all(row.scored for row in own)
        mean = record.mean_score if scored else record.mean_return
        p90 = _score(environment, record.p90_return) if scored else record.p90_return
        for name, value in (("mean", mean), ("90 % of episodes below", p90)):
            if value is not None:
                digits = 1 if scored else digits_of(value)
                key = "data", f"data, {source}{several}: {name}"
                column[key] = Cell(format_number(value, digits))
    for figure in reported:
        if figure.environment == environment:
            spread = "" if figure.spread is None else f"± {figure.spread:.1f}"
            key = "reported", f"{figure.algorithm}, {figure.source.name}"
            column[key] = Cell(format_number(figure.value), spread, figure.source.seeds or 0)
    return column


def _overall(aggregates: Sequence[Aggregate]) -> Column:
    best = max(a.score_iqm for a in aggregates)
    return {
        ("measured", a.label): Cell(
            format_number(a.score_iqm),
            "" if a.score_iqm_interval is None else format_interval(a.score_iqm_interval),
            best=len(aggregates) > 1 and a.score_iqm == best,
        )
        for a in aggregates
    }


def _score(environment: str, return_: float | None) -> float | None:
    try:
        return None if return_ is None else float(normalized_score(environment, return_))
    except DataError:
        return None
