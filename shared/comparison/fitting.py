"""Tables that fit the width of a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def fit(
    console: Console,
    names: Sequence[str],
    blocks: dict[str, list[tuple[str, ...]]],
    least: Sequence[str] = (),
) -> tuple[Table, list[str]]:
    """A table of indented rows below their headings that is no wider than `console`.

    Args:
        console: on which it will be printed.
        names: of the columns; the first one holds labels, the others numbers.
        blocks: heading -> rows; no line for an empty one.
        least: names of the columns to leave out where there is no room, in this order.

    Returns:
        The table, and the names that were left out.  If it is still too wide, labels wrap.
    """
    left_out: list[str] = []

    def fits() -> bool:
        return _width(console, _build(names, blocks, left_out)) <= console.width

    for name in (n for n in least if n in names and not fits()):
        left_out.append(name)
    for name in list(left_out):  # the last one may have made room for an earlier one
        left_out.remove(name)
        if not fits():
            left_out.append(name)
    table = _build(names, blocks, left_out)
    table.columns[0].no_wrap = _width(console, table) <= console.width
    return table, left_out


def no_room(left_out: Sequence[str]) -> list[str]:
    """The sentence about columns that were left out; none if none were."""
    if not left_out:
        return []
    *others, last = sorted(left_out)
    names = f"{', '.join(others)} and {last}" if others else last
    return [f"No room for {names}: widen the terminal."]


def _build(names: Sequence[str], blocks: dict, left_out: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    kept = [k for k, name in enumerate(names) if k and name not in left_out]
    table.add_column(names[0], overflow="fold")
    for k in kept:
        table.add_column(names[k], justify="right", no_wrap=True)
    for heading, rows in blocks.items():
        if heading:
            table.add_row(Text(heading, style="bold"))
        for row in rows:
            # Text, not str: a label may hold square brackets that rich would read as markup.
            table.add_row(Padding(Text(row[0]), (0, 0, 0, 2)), *(Text(row[k]) for k in kept))
    return table


def _width(console: Console, table: Table) -> int:
    endless = console.options.update(width=10_000)
    return table.__rich_measure__(console, endless).maximum
