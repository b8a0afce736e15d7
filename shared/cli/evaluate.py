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
        help="Film one episode (.mp4 or .gif).",
    )
    @click.option(
        "--seed",
        type=int,
        help="Which of the run's seeds --video films.  [default: the first]",
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
    def evaluate(run, episodes, video, seed, q_error, distance, data):
        """Play the last checkpoint of RUN in its simulator; print raw returns and scores."""
        from shared.comparison.console import make_console
        from shared.runs import trained

        if seed is not None and video is None:
            raise click.UsageError("--seed says which seed --video films; give --video too.")
        policy = None if video is None else _policy_to_film(run, video, seed)
        make_console().print(_returns_table(run, trained.evaluate_run(run, episodes=episodes)))
        if q_error:
            make_console().print(_q_error_table(run, episodes))
        if distance:
            make_console().print(_distance_table(run, data, episodes))
        if policy is not None:
            from shared.environments.video import film

            click.echo(f"filming one episode into {video} ...", err=True)
            record = policy.record
            label = f"{record['dataset']}  {record['algorithm']}  seed {policy.seed}"
            click.echo(f"{video}: {film(policy, video, label=label)} frames")

    return evaluate


def _policy_to_film(run: Path, video: Path, seed: int | None):
    """Refuses what cannot be filmed before any episode is played."""
    from shared.environments.video import require_video
    from shared.runs.trained import load_policy

    require_video(video)
    return load_policy(run, seed=seed)


def _returns_table(run: Path, rows: list[dict]):
    """Raw returns and scores, a line a seed and mode, and what they are of."""
    import numpy as np
    from rich.table import Table

    from shared.comparison.numbers import digits_of, format_number
    from shared.record.run_folder import RunFolder

    record = RunFolder.open(run, write=False).record
    early = "" if record["status"] == "finished" else f" of a run that is {record['status']}"
    caption = (
        f"{record['algorithm']} on {record['dataset']} (data: {record['source']}), policy after "
        f"{rows[0]['step']:,} updates{early}. "
        "Return: raw sum of rewards, mean and standard deviation over episodes. Score: the "
        "benchmark's normalised return (OGBench: success in percent), n/a without reference "
        "returns. Length: steps."
    )
    names = ("seed", "mode", "episodes", "return", "std", "score", "length")
    table = Table(title=str(run), caption=caption, caption_justify="left")
    for name in names:
        table.add_column(name, justify="left" if name == "mode" else "right", no_wrap=True)
    for seed, mode in dict.fromkeys((row["seed"], row["mode"]) for row in rows):
        own = [row for row in rows if (row["seed"], row["mode"]) == (seed, mode)]
        returns, scores, lengths = (
            np.array([row[name] for row in own], float) for name in ("return", "score", "length")
        )
        digits = digits_of(float(returns.mean()))
        means = (format_number(float(x), digits) for x in (returns.mean(), returns.std()))
        score = format_number(float(scores.mean()))
        table.add_row(str(seed), mode, str(len(own)), *means, score, f"{lengths.mean():,.0f}")
    return table


def _q_error_table(run: Path, episodes: int):
    from rich.table import Table

    from shared.record.run_folder import RunFolder
    from shared.runs.q_errors import q_errors

    record = RunFolder.open(run, write=False).record
    rows = q_errors(run, episodes=episodes)
    discounts = ", ".join(dict.fromkeys(f"{row['discount']:g}" for row in rows))
    caption = (
        f"{record['algorithm']} on {record['dataset']}, last critics: Q(s, a) of the critic less "
        f"the return met from there on, discount {discounts}, in the units in which the critic "
        "learns rewards (scaled and shifted as in training). Over the rows of "
        f"{episodes} {'episode' if episodes == 1 else 'episodes'} a seed, deterministic policy; "
        "rows shortly before a time limit are left out. Q, return: means. MSE: mean square of the "
        "error. Too high: share of rows where Q is above the return. By, else: mean error of "
        "those rows and of the others."
    )
    names = ("seed", "rows", "Q", "return", "MSE", "too high", "by", "else")
    title = "Q errors: critics against discounted returns"
    table = Table(*names, title=title, caption=caption, caption_justify="left")
    for row in rows:
        table.add_row(
            *(str(row[name]) for name in ("seed", "rows")),
            *(f"{row[name]:.4g}" for name in ("q", "return_", "mse")),
            f"{row['overestimated']:.0%}",
            *(f"{row[name]:+.4g}" for name in ("overestimation", "underestimation")),
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
    title = "Distance to the nearest recorded state"
    caption = (
        f"Of the states that the policy meets in {episodes} episodes, and of those of held-out "
        "episodes of the data; in standard deviations of the data. Beyond: share of states "
        "farther than 99 % of the held-out ones."
    )
    names = ("seed", "states", "median", "99 %", "data: median", "99 %", "beyond")
    table = Table(*names, title=title, caption=caption, caption_justify="left")
    for row in state_distances(run, loaded, episodes=episodes):
        seed, states, *distances, beyond = row.values()
        table.add_row(str(seed), str(states), *(f"{d:.3f}" for d in distances), f"{beyond:.1%}")
    return table
