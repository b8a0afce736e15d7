"""`compare`: final scores of several runs in one table, and in files of any format."""

from pathlib import Path

import click

ENDINGS = (".html", ".md", ".tex", ".csv", ".json", ".png", ".svg", ".pdf")
"""Of files that a report can be; others are folders."""


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "outs",
    multiple=True,
    default=(Path("comparison"),),
    show_default="comparison",
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help=f"A report in the format of its ending ({', '.join(ENDINGS)}), or a folder for "
    "report.html, comparison.csv, .json and .md, and curves.png. May be given several times.",
)
@click.option("--title", default="Comparison", show_default=True, help="Heading of the report.")
@click.option("--question", default="", metavar="TEXT", help="What the runs shall answer.")
@click.option(
    "--mode",
    default="both",
    show_default=True,
    type=click.Choice(["deterministic", "sampled", "both"]),
    help="Policy mode of the rows; the figures show the deterministic one for 'both'.",
)
@click.option(
    "--axis",
    default="updates",
    show_default=True,
    type=click.Choice(["updates", "hours", "cpu-hours"]),
    help="Of curves.png; methods whose updates differ are compared by training time, drawn in "
    "seconds, minutes or hours. A report shows all of them.",
)
@click.option(
    "--judge",
    is_flag=True,
    help="First judge each run by its data and in its simulator, once: distance of its actions "
    "from the data, and value error, which figures of swept values then show.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Also print what papers report for these data sets and algorithms (a report always "
    "shows it).",
)
def compare(runs, outs, title, question, mode, axis, judge, published):
    """Compare the final scores of runs.

    RUN is a run folder, or a folder of run folders.  Runs of one label that
    differ in their seeds alone count as one.
    """
    from shared.comparison.read import find_runs

    words = {"title": title, "question": question}
    found = find_runs(runs)
    if judge:
        from shared.choice.judged import judge_all

        judge_all((folder for run in found for folder in run.folders), _tell)
    write_comparison(found, outs, mode=mode, axis=axis, published=published, **words)


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)


def write_comparison(
    found, outs, *, mode: str, axis: str = "updates", published: bool = False, **words: str
) -> None:
    """Print the table and the averages of runs, and write files and folders.

    Arguments:
        found: as `find_runs` returns them.
        outs: paths; those without an ending of a report become folders.
        mode: of the rows.
        axis: of the learning curves in a folder.
        published: print published figures, too.
        words: `title` and `question` of reports.

    Raises:
        RunError: no run was evaluated in this mode.
    """
    from shared.comparison.report import make_report, write
    from shared.comparison.table import print_averages, print_published, print_table

    report = make_report(found, mode=mode, **words)
    print_table(found, mode=mode)
    print_averages(report.summary["aggregates"])
    if published:
        print_published(found)
    for out in outs:
        if out.suffix.lower() in ENDINGS:
            click.echo(write(report, out))
        else:
            _write_folder(found, report, out, axis)


def _write_folder(found, report, out: Path, axis: str) -> None:
    from shared.comparison.plots import learning_curves, performance_profiles
    from shared.comparison.report import write

    files = ["report.html", "comparison.csv", "comparison.json", "comparison.md", "curves.png"]
    for name in files[:4]:
        write(report, out / name)
    learning_curves(found, out / "curves.png", mode=report.mode, axis=axis)
    files += _write_sweeps(report, out)
    if any(a.mode == report.mode for a in report.summary["aggregates"]):
        performance_profiles(found, out / "profiles.png", mode=report.mode)
        files.append("profiles.png")
    click.echo(f"{out}: {', '.join(files)}")


def _write_sweeps(report, out: Path) -> list[str]:
    """Figures of swept values, and their points; the names of the files."""
    from shared.comparison.drawing import save
    from shared.comparison.sensitivity import write_points

    names = []
    for drawing in report.drawings:
        if drawing.name.startswith("sensitivity-"):
            names += [f"{drawing.name}.{kind}" for kind in ("png", "svg")]
            for name in names[-2:]:
                save(drawing, out / name)
    points = write_points(report.runs, report.mode, out / "sensitivity.csv")
    return [*names, *([points.name] if points else [])]
