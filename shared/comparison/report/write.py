"""From runs to a file, in the format that its ending names."""

from collections.abc import Callable, Sequence
from pathlib import Path

from shared.comparison.exports import write_csv, write_json
from shared.comparison.record import Run
from shared.comparison.report import page, pictures, texts
from shared.comparison.report.content import Report, make_report
from shared.errors import ConfigError

WRITERS: dict[str, Callable[[Report, Path], None]] = {
    ".html": page.write,
    ".md": texts.write_markdown,
    ".tex": texts.write_latex,
    ".csv": lambda report, path: write_csv(report.summary["rows"], path),
    ".json": lambda report, path: write_json(report.summary, path),
    ".png": pictures.write_png,
    ".svg": pictures.write_svg,
    ".pdf": pictures.write_pdf,
}
ENDINGS = tuple(WRITERS)


def write_report(
    runs: Sequence[Run],
    path: str | Path,
    *,
    title: str = "Comparison",
    question: str = "",
    mode: str = "both",
) -> Path:
    """Write a report on `runs`: equal runs give equal bytes, but for the times in them.

    Args:
        runs: as `read_run` or `find_runs` returns them.
        path: the file; its ending is one of `ENDINGS`. `.html` is one page with everything in it,
            `.png`, `.svg` and `.pdf` hold the summary and all figures, `.md` the tables, `.tex`
            the summary table, `.csv` and `.json` the rows unrounded.
        title: heading.
        question: what the runs were made to answer, one paragraph.
        mode: `deterministic`, `sampled` or `both`.

    Returns:
        The path.

    Raises:
        RunError: no run was evaluated in this mode, or a run folder is damaged.
        ConfigError: no such format.
    """
    check_ending(Path(path))  # before anything is computed
    report = make_report(runs, title=title, question=question, mode=mode)
    return write(report, Path(path))


def write(report: Report, path: Path) -> Path:
    """Write a report that was made once into one of several files.

    Raises:
        ConfigError: no such format.
    """
    check_ending(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix.lower()](report, path)
    return path


def check_ending(path: Path) -> None:
    """Raise a ConfigError for a file whose ending is none of `ENDINGS`."""
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(
            f"{path}: no report has the ending '{path.suffix}'; take one of {', '.join(ENDINGS)}."
        )
