"""`compare`: final scores of several runs in one table, with their learning curves."""

from pathlib import Path

import click


@click.command(name="compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default=Path("comparison"),
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for comparison.csv, comparison.json, comparison.md and curves.png.",
)
@click.option(
    "--mode",
    default="both",
    show_default=True,
    type=click.Choice(["deterministic", "sampled", "both"]),
    help="Policy mode of the rows; the curves show the deterministic one for 'both'.",
)
@click.option(
    "--axis",
    default="updates",
    show_default=True,
    type=click.Choice(["updates", "hours"]),
    help="Of the curves; methods whose updates differ are compared by training time, drawn in "
    "seconds, minutes or hours.",
)
def compare(runs, out, mode, axis):
    """Compare the final scores of runs.

    RUN is a run folder, or a folder of run folders.  Runs of one label that
    differ in their seeds alone count as one.
    """
    from shared.comparison.read import find_runs

    write_comparison(find_runs(runs), out, mode=mode, axis=axis)


def write_comparison(found, out: Path, *, mode: str, axis: str = "updates") -> None:
    """Print the table and the averages of runs, and write tables and plots into `out`.

    Raises:
        RunError: no run was evaluated in this mode.
    """
    from shared.comparison.exports import write_csv, write_json
    from shared.comparison.plots import learning_curves, performance_profiles
    from shared.comparison.summary import summarize, summary_markdown
    from shared.comparison.table import print_averages, print_table
    from shared.errors import RunError
    from shared.record.schema import MODES

    summary = summarize(found, mode)
    if not summary["rows"]:
        kind = "" if mode == "both" else f"{mode} "
        raise RunError(
            f"the runs have no {kind}evaluation yet; train until the first one is done (without a "
            "simulator there is never one)."
        )
    print_table(found, mode=mode)
    print_averages(summary["aggregates"])
    out.mkdir(parents=True, exist_ok=True)
    drawn = next(m for m in MODES if any(row.mode == m for row in summary["rows"]))
    learning_curves(found, out / "curves.png", mode=drawn, axis=axis)
    files = ["comparison.csv", "comparison.json", "comparison.md", "curves.png"]
    if any(a.mode == drawn for a in summary["aggregates"]):
        performance_profiles(found, out / "profiles.png", mode=drawn)
        files.append("profiles.png")
    write_csv(summary["rows"], out / "comparison.csv")
    write_json(summary, out / "comparison.json")
    (out / "comparison.md").write_text("# Comparison\n\n" + summary_markdown(summary), "utf-8")
    click.echo(f"{out}: {', '.join(files)}")
