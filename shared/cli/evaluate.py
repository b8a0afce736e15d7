"""`evaluate`: play a trained policy, and film it."""

from pathlib import Path

import click


def evaluate_command() -> click.Command:
    """The `evaluate` command."""

    @click.command(name="evaluate")
    @click.argument("run", type=click.Path(path_type=Path))
    @click.option(
        "--episodes",
        default=10,
        show_default=True,
        type=click.IntRange(1),
        help="Episodes of each seed and policy mode.",
    )
    @click.option(
        "--video",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Film one episode of the first seed (.mp4 or .gif).",
    )
    @click.option(
        "--q-error",
        is_flag=True,
        help="Compare the critics with the discounted returns met (PLAS, section 5.4).",
    )
    def evaluate(run, episodes, video, q_error):
        """Play the last checkpoint of RUN in its simulator; print raw returns and scores."""
        import numpy as np
        from rich.console import Console
        from rich.table import Table

        from shared import trained

        rows = trained.evaluate_run(run, episodes=episodes)
        table = Table(
            "seed",
            "mode",
            "episodes",
            "return",
            "std",
            "score",
            "length",
            title=str(run),
        )
        for seed, mode in dict.fromkeys((r["seed"], r["mode"]) for r in rows):
            own = [r for r in rows if (r["seed"], r["mode"]) == (seed, mode)]
            returns = np.array([r["return"] for r in own])
            score = np.mean([r["score"] for r in own])
            length = np.mean([r["length"] for r in own])
            table.add_row(
                str(seed),
                mode,
                str(len(own)),
                f"{returns.mean():.1f}",
                f"{returns.std():.1f}",
                f"{score:.1f}",
                f"{length:.0f}",
            )
        Console().print(table)
        if q_error:
            Console().print(_q_error_table(run, episodes))
        if video is not None:
            from shared.environments.video import film

            frames = film(trained.load_policy(run), video)
            click.echo(f"{video}: {frames} frames")

    return evaluate


def _q_error_table(run: Path, episodes: int):
    from rich.table import Table

    from shared.q_errors import q_errors

    table = Table("seed", "rows", "Q", "return", "MSE", "too high", "by", "else", title="Q errors")
    for row in q_errors(run, episodes=episodes):
        values = list(row.values())
        table.add_row(
            *(f"{value:.4g}" for value in values[:5]),
            f"{row['overestimated']:.0%}",
            *(f"{value:+.4g}" for value in values[6:]),
        )
    return table
