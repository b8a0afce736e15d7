"""Final scores on the terminal: one table that fits its width, with a caption."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from shared.comparison.across import Aggregate
from shared.comparison.console import make_console
from shared.comparison.fitting import fit, no_room
from shared.comparison.numbers import (
    digits_of,
    format_count,
    format_interval,
    format_number,
    with_other,
)
from shared.comparison.record import Run, pool
from shared.comparison.reported import figures_for
from shared.comparison.rows import Row, make_notes, make_rows
from shared.record.schema import MODES

CAPTION = (
    "Final evaluation of each seed, never the best one; means over seeds. Return: raw sum of "
    "rewards. Score: the benchmark's normalised return. Interval: bootstrap of the mean {value} "
    "over seeds, too narrow with fewer than five."
)
AVERAGES = ("algorithm", "mean score", "95 % interval", "IQM", "95 % interval of the IQM")
LEAST = ("IQM", "return", "preset", "updates", "seeds", "95 % interval")
"""Columns that a narrow terminal goes without, the first one first."""


class Line(NamedTuple):
    """A label in one environment: its row in the mode that stands first, and in the other."""

    first: Row
    other: Row | None


class Column(NamedTuple):
    """A column of numbers: its name, its text for a line, and for the data of an environment."""

    name: str
    text: Callable[[Line], str]
    data: Callable[[Row], str] = lambda row: ""


def print_table(runs: Sequence[Run], *, mode: str = "both", console: Console | None = None) -> None:
    """Print the final scores of `runs` and what limits their comparison.

    What all lines share stands in the caption. Below each environment comes the mean of its
    data; then a line for each label, with sampled actions in brackets behind the deterministic
    policy. A task without reference returns shows returns, and their intervals, in place of scores.

    Args:
        runs: as `read_run` returns them.
        mode: `deterministic`, `sampled` or `both`.
        console: where to print; standard output if None.
    """
    console = console or make_console()
    pooled = pool(runs)
    lines = make_lines(make_rows(pooled, mode))
    columns, shared = _columns(lines)
    names = ["environment", *(column.name for column in columns)]
    least = LEAST if _scored(lines) else tuple(name for name in LEAST if name != "return")
    table, left_out = fit(console, names, _blocks(lines, columns), least)
    console.print(table)
    console.print(Text(_caption(lines, shared, left_out)))
    for note in make_notes(pooled):
        console.print(Text(f"Note: {note}", style="yellow"))


def print_averages(aggregates: Sequence[Aggregate], *, console: Console | None = None) -> None:
    """Print the scores over all shared environments, one row a label; nothing if there are none."""
    if not aggregates:
        return
    console = console or make_console()
    rows = []
    for label in dict.fromkeys(a.label for a in aggregates):
        own = sorted((a for a in aggregates if a.label == label), key=lambda a: MODES.index(a.mode))
        score, iqm = (
            with_other(*(format_number(getattr(a, name)) for a in own))
            for name in ("score_mean", "score_iqm")
        )
        interval, iqm_interval = map(
            format_interval, (own[0].score_interval, own[0].score_iqm_interval)
        )
        rows.append((label, score, interval, iqm, iqm_interval))
    count = len(aggregates[0].environments)
    blocks = {f"mean over all {count} shared environments": rows}
    table, _ = fit(console, AVERAGES, blocks, AVERAGES[:1:-1])
    console.print(table)
    console.print(Text("Intervals: bootstrapped over seeds within each environment."))


def print_published(runs: Sequence[Run], *, console: Console | None = None) -> None:
    """Print what others report for the data sets and algorithms of `runs`, and where."""
    console = console or make_console()
    algorithms = list(dict.fromkeys(run.algorithm for run in runs))
    figures = figures_for({run.environment for run in runs}, algorithms)
    if not figures:
        console.print(Text("No figures are known that were published for these runs."))
        return
    blocks: dict[str, list[tuple[str, ...]]] = {}
    for environment in sorted({figure.environment for figure in figures}):
        blocks[f"{environment}, reported"] = [
            (
                f"{figure.algorithm}, {figure.source.name}",
                format_number(figure.value),
                "" if figure.spread is None else f"± {figure.spread:.1f}",
                str(figure.source.seeds or "n/a"),
                figure.source.data,
            )
            for figure in figures
            if figure.environment == environment
        ]
    table, _ = fit(console, ("published", "score", "±", "seeds", "data"), blocks, ("data",))
    console.print(table)
    console.print(Text("Reported by others, on their data and by their protocol; in no statistic."))


def make_lines(rows: Sequence[Row]) -> list[Line]:
    """Pair the rows of both modes, the deterministic one first where there is one."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in rows:  # the deterministic row of a label comes before the sampled one
        pairs.setdefault((row.environment, row.label), []).append(row)
    return [Line(pair[0], pair[1] if len(pair) > 1 else None) for pair in pairs.values()]


def _scored(lines: Sequence[Line]) -> bool:
    return any(line.first.scored for line in lines)


def _columns(lines: Sequence[Line]) -> tuple[list[Column], dict[str, str]]:
    """The columns in which lines can differ, and what all lines share: name -> text."""

    def score(line: Line) -> str:
        return with_other(*(format_number(row.score_mean) for row in line if row))

    def interval(line: Line) -> str:
        row = line.first
        return format_interval(row.interval, 1 if row.scored else digits_of(row.return_mean))

    def iqm(line: Line) -> str:
        row = line.first
        return format_number(row.iqm, 1 if row.scored else digits_of(row.return_mean))

    def return_(line: Line) -> str:
        digits = digits_of(line.first.return_mean)
        return with_other(*(format_number(row.return_mean, digits) for row in line if row))

    def data_return(row: Row) -> str:
        return format_number(row.data_return, digits_of(row.data_return))

    returns = Column("return", return_, data_return)
    sure = [Column("95 % interval", interval), Column("IQM", iqm)]
    scores = Column("score", score, lambda row: format_number(row.data_score))
    columns = [scores, *sure, returns] if _scored(lines) else [returns, *sure]
    shared = {}
    for column in (
        Column("seeds", lambda line: str(len(line.first.seeds))),
        Column("updates", lambda line: format_count(line.first.step)),
        Column("preset", lambda line: line.first.preset),
    ):
        texts = {column.text(line) for line in lines}
        if len(texts) > 1:
            columns.append(column)
        elif texts - {""}:
            name = "updates of all phases" if column.name == "updates" else column.name
            shared[name] = texts.pop()
    return columns, shared


def _blocks(lines: Sequence[Line], columns: Sequence[Column]) -> dict[str, list[tuple[str, ...]]]:
    """Environment -> its data and its labels, as texts."""
    blocks: dict[str, list[tuple[str, ...]]] = {}
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        row = line.first
        groups.setdefault((row.environment, row.source, row.data_sha256), []).append(line)
    for (environment, source, sha256), group in groups.items():
        data = (column.data(group[0].first) for column in columns)
        block = blocks.setdefault(environment, [])
        block.append((f"data, {source} {sha256[:8]}", *data))
        block += [(line.first.label, *(column.text(line) for column in columns)) for line in group]
    return blocks


def _caption(lines: Sequence[Line], shared: dict[str, str], left_out: Sequence[str]) -> str:
    modes = [row.mode for row in lines[0] if row] if lines else []
    told = [f"Policy mode: {modes[0]}."] if len(modes) == 1 else []
    if len(modes) > 1:
        told = [f"Policy mode: {modes[0]}, in brackets {modes[1]} where it differs."]
    told += [f"{name.capitalize()}: {text}." for name, text in shared.items()]
    unscored = sum(not line.first.scored for line in lines)
    value = "return" if unscored == len(lines) else "score"
    told.append(CAPTION.format(value=value))
    if unscored:
        told.append("Without reference returns there is no score: interval and IQM of the return.")
    return " ".join([*told, *no_room(left_out)])
