"""A page that sets our runs beside those of an independent implementation of the same method."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.comparison.exports import markdown_table
from shared.comparison.numbers import format_interval, format_number
from shared.comparison.record import SOURCES, Run
from shared.comparison.statistics import Interval, bootstrap_interval, mean

Returns = Mapping[int, Sequence[float]]
"""Seed -> raw returns of the episodes of its last policy."""
COLUMNS = (
    "algorithm", "implementation", "updates", "mean return of each seed", "mean",
    "95 % interval", "overlap",
)  # fmt: skip
LOSS_COLUMNS = ("algorithm", "implementation", "losses")
RETURN_COLUMNS = ("algorithm", "implementation", "seed", "episode", "return")


TIMES = ("seconds", "updates_per_second")


class Comparison(NamedTuple):
    """One algorithm on both sides.

    Attributes:
        run: ours.
        ours: returns of our seeds.
        peer: name of the other implementation.
        theirs: returns of its seeds.
        versions: of the packages on its side.
        losses: of its last updates, mean over seeds, under its own names.
    """

    run: Run
    ours: Returns
    peer: str
    theirs: Returns
    versions: Mapping[str, str]
    losses: Mapping[str, float]

    @property
    def sides(self) -> tuple[tuple[str, Returns], tuple[str, Returns]]:
        """Both names with their returns."""
        return ("ours", self.ours), (self.peer, self.theirs)

    @property
    def overlap(self) -> bool | None:
        """Do the intervals of both overlap?  None if a side has a single seed."""
        first, second = interval(self.ours), interval(self.theirs)
        if first is None or second is None:
            return None
        return bool(first.low <= second.high and second.low <= first.high)


def interval(returns: Returns) -> Interval | None:
    """Of the mean over seeds, by bootstrap; None for a single seed."""
    return bootstrap_interval(mean, [_seed_means(returns)])


def write_parity(
    found: Sequence[Comparison],
    path: Path,
    *,
    title: str,
    commands: Sequence[str],
    notes: Sequence[str] = (),
) -> Path:
    """Write a Markdown page on `found`, with all raw returns in `….csv` beside it.

    Args:
        found: at least one comparison.
        path: the page, `….md`.
        title: its heading.
        commands: shell lines that make the runs again.
        notes: paragraphs of Markdown below the heading.

    Returns:
        The path of the page.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = path.with_name(f"{path.stem}-returns.csv")
    _write_returns(found, table)
    rows = [row for comparison in found for row in _rows(comparison)]
    data = found[0].run.data
    parts = [
        f"# {title}",
        *notes,
        "## Returns",
        markdown_table(COLUMNS, rows, left=2),
        f"Raw returns of every episode: [{table.name}]({table.name}).",
        "Losses of the last updates, mean over seeds, each side's own names:",
        markdown_table(LOSS_COLUMNS, [row for c in found for row in _losses(c)], left=3),
        "## Settings of both",
        *(_settings(comparison.run) for comparison in found),
        "## Data",
        f"{data.name}, {found[0].run.source} ({SOURCES[found[0].run.source]}), "
        f"{data.rows or 0:,} rows, SHA-256 {data.sha256}.",
        "## Commands",
        "```sh\n" + "\n".join(commands) + "\n```",
        "## Versions",
        _versions(found),
    ]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _seed_means(returns: Returns) -> np.ndarray:
    return np.array([np.mean(episodes) for _, episodes in sorted(returns.items())])


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    answer = {None: "n/a (1 seed)", True: "yes", False: "no"}[comparison.overlap]
    run = comparison.run
    cells = []
    for name, returns in comparison.sides:
        means = _seed_means(returns)
        seeds = ", ".join(map(format_number, means))
        ends = (format_number(float(means.mean())), format_interval(interval(returns)))
        cells.append((run.algorithm, name, f"{run.phases[-1][1]:,}", seeds, *ends, answer))
    return cells


def _losses(comparison: Comparison) -> list[tuple[str, ...]]:
    """Both sides; ours are those of the last line of each seed."""
    metrics = comparison.run.metrics()
    last = metrics.step == metrics.step.max(initial=0)
    ours = {name: float(values[last].mean()) for name, values in metrics.values.items()}
    cells = []
    for name, losses in (("ours", ours), (comparison.peer, comparison.losses)):
        told = {k: v for k, v in losses.items() if k not in TIMES and np.isfinite(v)}
        text = ", ".join(f"{k} {v:.4g}" for k, v in told.items())
        cells.append((comparison.run.algorithm, name, text))
    return cells


def _settings(run: Run) -> str:
    values = ", ".join(f"{name} {value}" for name, value in run.hyperparameters.items())
    return f"**{run.algorithm}**: {values}."


def _write_returns(found: Sequence[Comparison], path: Path) -> None:
    """One line an episode, unrounded."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RETURN_COLUMNS)
        for comparison in found:
            for name, returns in comparison.sides:
                for seed, episodes in sorted(returns.items()):
                    for number, return_ in enumerate(episodes):
                        writer.writerow((comparison.run.algorithm, name, seed, number, return_))


def _versions(found: Sequence[Comparison]) -> str:
    """Packages of both sides, once each."""
    lines = {
        (side, package, version): None
        for comparison in found
        for side, versions in (
            ("ours", comparison.run.versions),
            (comparison.peer, comparison.versions),
        )
        for package, version in versions.items()
        if package != "platform"
    }
    return markdown_table(("side", "package", "version"), list(lines), left=3)
