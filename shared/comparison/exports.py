"""Rows as CSV, JSON and Markdown."""

import csv
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from shared.comparison.across import Aggregate
from shared.comparison.numbers import format_interval, format_number, with_other
from shared.comparison.rows import Row
from shared.record.schema import MODES

COLUMNS = (
    "environment", "algorithm", "family", "data", "mode", "seeds", "updates",
    "return", "score", "95 % interval", "IQM", "data score",
)  # fmt: skip
AGGREGATE_COLUMNS = (
    "algorithm", "mode", "environments", "mean score", "95 % interval", "IQM", "95 % interval",
)  # fmt: skip
CAPTION = (
    "Final evaluation of each seed, never the best one. Return: raw sum of rewards; score: the "
    "benchmark's normalised return; both are means over seeds. Interval: bootstrap of the mean "
    "score over seeds, which with fewer than five seeds is too narrow. Without reference returns "
    "there is no score, and interval and IQM are those of the return. Data score: mean over the "
    "episodes of the behaviour data."
)


def cells(row: Row) -> list[str]:
    """The texts of one row, in the order of `COLUMNS`."""
    return [
        row.environment,
        row.label,
        row.family,
        f"{row.source} {row.data_sha256[:8]}",
        row.mode,
        str(len(row.seeds)),
        f"{row.step:,}",
        format_number(row.return_mean),
        format_number(row.score_mean),
        format_interval(row.interval),
        format_number(row.iqm),
        format_number(row.data_score),
    ]


def aggregate_cells(row: Aggregate) -> list[str]:
    """The texts of one average, in the order of `AGGREGATE_COLUMNS`."""
    return [
        row.label,
        row.mode,
        str(len(row.environments)),
        format_number(row.score_mean),
        format_interval(row.score_interval),
        format_number(row.score_iqm),
        format_interval(row.score_iqm_interval),
    ]


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write one line per row with every field unrounded; what does not exist is blank."""
    records = [_flat(row) for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]) if records else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def write_json(content: Any, path: Path) -> None:
    """Write dictionaries, lists and numbers; NaN, which JSON lacks, becomes null."""
    path.write_text(json.dumps(_json(content), indent=2) + "\n", encoding="utf-8")


def markdown(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """The table, its caption and its notes as a Markdown text."""
    lines = markdown_table(COLUMNS, map(cells, rows), left=5)
    return "\n".join([lines, "", CAPTION, *(f"\n> **Note:** {escape(note)}" for note in notes), ""])


def glance_markdown(rows: Sequence[Row]) -> str:
    """Mean scores alone, an algorithm a line and an environment a column; returns without scores.

    They are those of deterministic policies; that of sampled actions stands in brackets after
    it, where it differs.
    """
    scored = all(row.scored for row in rows)
    environments = list(dict.fromkeys(row.environment for row in rows))
    columns = [[row.label for row in rows if row.environment == name] for name in environments]
    # In the order of the fullest column: one that lacks methods would put others first.
    columns.sort(key=lambda labels: -len({*labels}))
    labels = dict.fromkeys(itertools.chain(*columns))
    found = {
        (row.environment, row.label, row.mode): format_number(row.score_mean, 1)
        if scored
        else format_number(row.return_mean, 0)
        for row in rows
    }

    def data(environment):
        own = [row for row in rows if row.environment == environment]
        if scored:
            return " / ".join(dict.fromkeys(format_number(row.data_score, 1) for row in own))
        return " / ".join(dict.fromkeys(format_number(row.data_return, 0) for row in own))

    def cell(environment, label):
        return with_other(*(found.get((environment, label, mode), "n/a") for mode in MODES))

    lines = [[label, *(cell(name, label) for name in environments)] for label in labels]
    names = (f"mean {'score' if scored else 'return'}", *environments)
    return markdown_table(names, [["(data)", *map(data, environments)], *lines], left=1)


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> str:
    """A Markdown table whose first `left` columns are texts and whose others are numbers."""
    rule = [":--" if k < left else "--:" for k in range(len(names))]
    texts = [[escape(cell) for cell in row] for row in (names, *rows)]
    lines = [texts[0], rule, *texts[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also inside a table, and never as a link."""
    return "".join("\\" + c if c in "\\|`*<" else c for c in text).replace("](", "]\\(")


def _flat(row: Row) -> dict[str, Any]:
    """One column per number: an interval becomes two, the seeds are joined by spaces."""
    record = {}
    for name, value in row._asdict().items():
        if name.endswith("_interval"):
            low, high = value or ("", "")
            record |= {f"{name[:-9]}_low": low, f"{name[:-9]}_high": high}
        elif isinstance(value, float) and math.isnan(value):
            record[name] = ""
        else:
            record[name] = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return record


def _json(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
