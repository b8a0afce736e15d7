"""`choose`: rank policies from their data alone."""

from pathlib import Path

import click


@click.command(name="choose")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--held-out",
    "share",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 0.9, min_open=True),
    help="Share of the episodes that judge; see the run setting held_out_episodes.",
)
@click.option(
    "--discount",
    type=click.FloatRange(0, 1, max_open=True),
    help="Of fitted Q evaluation.  [default: looks as far as the longest episode]",
)
@click.option(
    "--updates",
    type=click.IntRange(1),
    help="Of fitted Q evaluation, for each policy.  [default: 3000]",
)
@click.option("--members", type=click.IntRange(2), help="Critics of each policy.  [default: 4]")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The runs' data, if they are no longer where they were found.",
)
@click.option(
    "--out",
    default=Path("choice"),
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for choice.csv and choice.json.",
)
def choose(runs, share, discount, updates, members, data, out):
    """Rank the policies of runs without a simulator.

    RUN is a run folder, or a folder of run folders, all trained on the same
    data.  Every seed is a candidate.
    """
    from shared.choice.candidates import candidates_of, data_of
    from shared.choice.fitted_q import DEFAULTS
    from shared.choice.judge import Judge
    from shared.choice.ranking import ranking, warnings
    from shared.choice.report import table, write
    from shared.comparison.console import make_console
    from shared.comparison.read import find_runs

    folders = [folder for run in find_runs(runs) for folder in run.folders]
    candidates = [one for folder in folders for one in candidates_of(folder)]
    fitted = {} if members is None else {"members": members}
    if updates is not None:
        fitted |= {"steps": updates, "start_steps": min(updates, DEFAULTS["start_steps"])}
    judge = Judge(data_of(candidates, data), share=share, discount=discount, fitted_options=fitted)
    verdicts = []
    for number, one in enumerate(candidates, start=1):
        click.echo(f"{number} of {len(candidates)}: {one.label} ...", err=True)
        verdicts.append(judge(one))
    places = ranking(verdicts)
    told = warnings(places, float(judge.data.episode_returns.max()))
    make_console().print(table(places, judge))
    for sentence in told:
        click.echo(f"warning: {sentence}")
    click.echo(f"{out}: {', '.join(write(places, judge, told, out))}")
