"""A page of results with all that is needed to check it: numbers, data, versions, commands."""

import csv
from collections.abc import Sequence
from pathlib import Path

from shared.comparison import lasting
from shared.comparison.claims import Claim, refreshed
from shared.comparison.drawing import save
from shared.comparison.exports import glance_markdown, markdown_table
from shared.comparison.numbers import format_number
from shared.comparison.plots import learning_curves
from shared.comparison.record import SOURCES, Run, pool
from shared.comparison.sensitivity import sensitivity, write_points
from shared.comparison.summary import summarize, summary_markdown
from shared.errors import RunError
from shared.record.schema import MODES

EPISODE_COLUMNS = (
    "environment", "label", "source", "data_sha256", "mode", "seed", "step", "episode",
    "return", "score", "length",
)  # fmt: skip
RUN_COLUMNS = ("environment", "algorithm", "preset", "status", "seeds", "phases", "devices")
DATA_COLUMNS = (
    "data", "source", "SHA-256", "rows", "episodes", "mean return", "mean score", "best return",
)  # fmt: skip

MANY = 8
"""Algorithms whose pairs would fill the page."""


def write_results(
    runs: Sequence[Run],
    path: Path,
    *,
    title: str,
    commands: Sequence[str],
    notes: Sequence[str] = (),
    claims: Sequence[Claim] = (),
) -> Path:
    """Write a Markdown page on `runs`, with its curves and raw returns beside it.

    The page `NAME.md` refers to `NAME.png` (learning curves), to
    `NAME-episodes.csv` (the return of every final episode), and, where values were swept, to
    `NAME-sensitivity-*.png` and `NAME-sensitivity.csv`, which are written
    to the same folder.  No path and no kernel of this machine gets into them.
    Of more than `MANY` algorithms only the pairs with the first run's are listed.

    Args:
        runs: as `read_run` returns them; at least one must have been scored.
        path: the page, `….md`.
        title: its heading.
        commands: shell lines that make the runs again.
        notes: paragraphs of Markdown below the heading.
        claims: pairs whose readings are computed, see `shared.comparison.claims`.

    Returns:
        The path of the page.

    Raises:
        RunError: if no run has been scored.
    """
    pooled = pool(runs)
    modes = [mode for mode in MODES if any(run.final_episodes(mode) for run in pooled)]
    if not modes:
        raise RunError("none of the runs has an evaluation yet; train until the first one is done.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    summary = summarize(runs)
    environments, labels = ({row[k] for row in summary["rows"]} for k in (0, 1))
    glance = []
    if len(environments) > 1 and len(labels) > 1:
        text = "Deterministic policies; in brackets sampled actions, where they differ."
        glance = ["## At a glance", glance_markdown(summary["rows"]), text]
    if len(labels) > MANY:
        first = pooled[0].label
        summary["pairs"] = [pair for pair in summary["pairs"] if first in (pair.first, pair.second)]
    curves = learning_curves(runs, path.with_suffix(".png"), mode=modes[0])
    episodes = path.with_name(f"{path.stem}-episodes.csv")
    write_episodes(pooled, episodes)
    parts = [
        f"# {title}",
        *notes,
        *glance,
        "## Scores",
        summary_markdown(summary),
        f"Raw returns of every final episode: [{episodes.name}]({episodes.name}).",
        f"![Learning curves]({curves.name})",
        *_swept(pooled, path, modes[0]),
        *_lasting(pooled),
        "## Runs",
        markdown_table(RUN_COLUMNS, map(_run_cells, pooled), left=7),
        "## Data",
        markdown_table(DATA_COLUMNS, dict.fromkeys(map(_data_cells, pooled)), left=3),
        "## Commands",
        "```sh\n" + "\n".join(commands) + "\n```",
        "## Versions",
        _versions(pooled),
    ]
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    path.write_text(refreshed(path, notes, claims), encoding="utf-8")
    return path


def _swept(runs: Sequence[Run], path: Path, mode: str) -> list[str]:
    """Paragraphs on swept values, with their figures and points beside the page."""
    points = write_points(runs, mode, path.with_name(f"{path.stem}-sensitivity.csv"))
    if points is None:
        return []
    parts = []
    for drawing in sensitivity(runs, mode):
        file = path.with_name(f"{path.stem}-{drawing.name}.png")
        save(drawing, file)
        parts += [f"## {drawing.title}", f"![{drawing.title}]({file.name})", drawing.caption]
    return [*parts, f"Every point, seed by seed: [{points.name}]({points.name})."]


def _lasting(runs: Sequence[Run]) -> list[str]:
    """The paragraphs on how last policies hold, where there were evaluations enough."""
    table = lasting.lasting_markdown(runs)
    return [] if table is None else ["## Do last policies hold?", table, lasting.CAPTION]


def write_episodes(runs: Sequence[Run], path: Path) -> None:
    """Write one line per final episode of every run, mode and seed, unrounded."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EPISODE_COLUMNS)
        for run in runs:
            who = (run.environment, run.label, run.source, run.data.sha256)
            for mode in MODES:
                for seed, episodes in run.final_episodes(mode).items():
                    for e in sorted(episodes, key=lambda e: e.episode):
                        score = "" if e.score != e.score else e.score
                        what = (e.step, e.episode, e.return_, score, e.length)
                        writer.writerow((*who, mode, seed, *what))


def _run_cells(run: Run) -> tuple[str, ...]:
    phases = ", ".join(f"{name} {steps:,}" for name, steps in run.phases)
    seeds = ", ".join(map(str, run.seeds))
    return (run.environment, run.label, run.preset, run.status, seeds, phases, run.devices)


def _data_cells(run: Run) -> tuple[str, ...]:
    data = run.data
    counts = ("n/a" if count is None else f"{count:,}" for count in (data.rows, data.episodes))
    means = map(format_number, (data.mean_return, data.mean_score, data.best_return))
    return (data.name, f"{run.source}: {SOURCES[run.source]}", data.sha256, *counts, *means)


def _versions(runs: Sequence[Run]) -> str:
    """One table: the versions that all runs share in one column, or each that occurs."""
    names = dict.fromkeys(name for run in runs for name in run.versions if name != "platform")
    rows = []
    for name in names:
        found = dict.fromkeys(run.versions[name] for run in runs if name in run.versions)
        rows.append((name, " / ".join(found)))
    return markdown_table(("package", "version"), rows, left=2) if rows else "not recorded"
