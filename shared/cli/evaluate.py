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
    @click.option(
        "--distance",
        is_flag=True,
        help="Tell how far the states met lie from the run's data.",
    )
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The run's data for --distance, if they are no longer where it found them.",
    )
    def evaluate(run, episodes, video, q_error, distance, data):
        """Play the last checkpoint of RUN in its simulator; print raw returns and scores."""
        import numpy as np
        from rich.table import Table

        from shared.comparison.console import make_console
        from shared.runs import trained

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
        make_console().print(table)
        if q_error:
            make_console().print(_q_error_table(run, episodes))
        if distance:
            make_console().print(_distance_table(run, data, episodes))
        if video is not None:
            from shared.environments.video import film

            frames = film(trained.load_policy(run), video)
            click.echo(f"{video}: {frames} frames")

    return evaluate


def _q_error_table(run: Path, episodes: int):
    from rich.table import Table

    from shared.runs.q_errors import q_errors

    table = Table("seed", "rows", "Q", "return", "MSE", "too high", "by", "else", title="Q errors")
    for row in q_errors(run, episodes=episodes):
        values = list(row.values())
        table.add_row(
            *(f"{value:.4g}" for value in values[:5]),
            f"{row['overestimated']:.0%}",
            *(f"{value:+.4g}" for value in values[6:]),
        )
    return table


def _distance_table(run: Path, data: Path | None, episodes: int):
    from rich.table import Table

    from shared.loading.request import DataRequest
    from shared.record.run_folder import RunFolder
    from shared.runs.carry_out import load_again
    from shared.runs.state_distance import state_distances

    record = RunFolder.open(run, write=False).record
    loaded = load_again(run, record, lambda r: DataRequest.of_record(r, data).load())
    title = "Distance to the nearest recorded state, and of held-out episodes"
    table = Table("seed", "states", "median", "99 %", "data: median", "99 %", "beyond", title=title)
    for row in state_distances(run, loaded, episodes=episodes):
        seed, states, *distances, beyond = row.values()
        table.add_row(str(seed), str(states), *(f"{d:.3f}" for d in distances), f"{beyond:.1%}")
    return table
