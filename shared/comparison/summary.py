"""Several runs in one Markdown text: the table, what spans environments, and the pairs."""

from collections.abc import Sequence
from typing import Any

from shared.comparison.across import Pair, make_aggregates, make_pairs
from shared.comparison.exports import (
    AGGREGATE_COLUMNS,
    aggregate_cells,
    markdown,
    markdown_table,
)
from shared.comparison.numbers import format_interval, format_number
from shared.comparison.record import Run, pool
from shared.comparison.rows import make_notes, make_rows

PAIR_COLUMNS = (
    "first", "second", "mode", "environments", "P(first > second)", "95 % interval",
    "mean difference", "95 % interval",
)  # fmt: skip


def summarize(runs: Sequence[Run], mode: str = "both") -> dict[str, Any]:
    """All rows, aggregates, pairs and notes of `runs`, under these names.

    Args:
        runs: as `read_run` returns them.
        mode: `deterministic`, `sampled` or `both`.
    """
    pooled = pool(runs)
    return {
        "rows": make_rows(pooled, mode),
        "aggregates": [a for a in make_aggregates(pooled) if mode in ("both", a.mode)],
        "pairs": [p for p in make_pairs(pooled) if mode in ("both", p.mode)],
        "notes": make_notes(pooled),
    }


def summary_markdown(summary: dict[str, Any]) -> str:
    """The Markdown text of what `summarize` returns; headings start at the second level."""
    parts = [markdown(summary["rows"], summary["notes"])]
    if summary["aggregates"]:
        cells = map(aggregate_cells, summary["aggregates"])
        parts += [
            "## All environments",
            "Scores over the environments that every algorithm was run on; intervals are "
            "bootstrapped over seeds within each environment.",
            markdown_table(AGGREGATE_COLUMNS, cells, left=2),
        ]
    if summary["pairs"]:
        parts += [
            "## Pairs",
            "P(first > second): the probability that a run of the first scores higher than one of "
            "the second, averaged over the environments of both. Mean difference: score of first "
            "minus second, paired by seed.",
            markdown_table(PAIR_COLUMNS, map(_pair_cells, summary["pairs"]), left=3),
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _pair_cells(pair: Pair) -> list[str]:
    return [
        pair.first,
        pair.second,
        pair.mode,
        str(len(pair.environments)),
        format_number(pair.improvement, 2),
        format_interval(pair.improvement_interval, 2),
        "n/a (other seeds)" if pair.difference is None else format_number(pair.difference),
        "n/a" if pair.difference is None else format_interval(pair.difference_interval),
    ]
