"""What came out of a training, on one screen."""

import shlex
from pathlib import Path

import click


def show_outcome(paths: list[Path]) -> None:
    """The table of these runs, what to think of each, and what to do next."""
    from shared.choice.outcome import sentences as judged
    from shared.comparison.outcome import sentences
    from shared.comparison.read import read_run
    from shared.comparison.table import print_table

    runs = [read_run(path) for path in paths]
    scored = [run for run in runs if run.episodes]
    if scored:
        print_table(scored)
    for run in runs:
        for sentence in sentences(run):
            click.echo(sentence)
        for sentence in () if run.episodes else judged(run.folders[0], tell=click.echo):
            click.echo(sentence)
        click.echo(f"run folder: {run.folders[0]}")
    family, first = runs[0].family, paths[0]
    if scored:
        film = shlex.join([family, "evaluate", str(first), "--video", "film.mp4"])
        several = map(str, paths) if len(paths) < 4 else [str(first.parent)]
        click.echo(f"next: {film} | {shlex.join([family, 'compare', *several])}")
    else:
        choose = shlex.join([family, "choose", str(first), "OTHER_RUN"])
        click.echo(f"next: {choose} | in Python: policy = shared.load_policy({str(first)!r})")
