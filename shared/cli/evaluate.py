"""`evaluate`: play a trained policy, and film it."""

from collections.abc import Sequence
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
        from shared.runs import trained

        if seed is not None and video is None:
            raise click.UsageError("--seed says which seed --video films; give --video too.")
        policy = None if video is None else _policy_to_film(run, video, seed)
        _print_returns(run, trained.evaluate_run(run, episodes=episodes))
        if q_error:
            _print_q_errors(run, episodes)
        if distance:
            _print_distances(run, data, episodes)
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


def _print(
    heading: str, names: Sequence[str], rows: list[tuple[str, ...]], least: str, caption: str
) -> None:
    """A table without the columns `least`, in this order, where the terminal has no room."""
    from rich.text import Text

    from shared.comparison.console import make_console
    from shared.comparison.fitting import fit, no_room

    console = make_console()
    # Above the table, not in it: a long path would leave no room for columns.
    console.print(Text(heading, style="bold"))
    table, left_out = fit(console, names, {"": rows}, least.split(", "))
    console.print(table)
    console.print(Text(" ".join([caption, *no_room(left_out)])))


def _print_returns(run: Path, rows: list[dict]) -> None:
    """Raw returns and scores, a line a seed and mode, and what they are of."""
    import numpy as np

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
    lines = []
    for seed, mode in dict.fromkeys((row["seed"], row["mode"]) for row in rows):
        own = [row for row in rows if (row["seed"], row["mode"]) == (seed, mode)]
        returns, scores, lengths = (
            np.array([row[name] for row in own], float) for name in ("return", "score", "length")
        )
        digits = digits_of(float(returns.mean()))
        means = (format_number(float(x), digits) for x in (returns.mean(), returns.std()))
        score, length = format_number(float(scores.mean())), f"{lengths.mean():,.0f}"
        lines.append((f"{seed} {mode}", str(len(own)), *means, score, length))
    names = ("seed and mode", "episodes", "return", "std", "score", "length")
    _print(str(run), names, lines, "episodes, length, std", caption)


def _print_q_errors(run: Path, episodes: int) -> None:
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
    lines = [
        (
            *(str(row[name]) for name in ("seed", "rows")),
            *(f"{row[name]:.4g}" for name in ("q", "return_", "mse")),
            f"{row['overestimated']:.0%}",
            *(f"{row[name]:+.4g}" for name in ("overestimation", "underestimation")),
        )
        for row in rows
    ]
    heading = "Q errors: critics against discounted returns"
    _print(heading, names, lines, "rows, else, by, too high", caption)


def _print_distances(run: Path, data: Path | None, episodes: int) -> None:
    from shared.loading.request import DataRequest
    from shared.record.run_folder import RunFolder
    from shared.runs.carry_out import load_again
    from shared.runs.state_distance import state_distances

    record = RunFolder.open(run, write=False).record
    loaded = load_again(run, record, lambda r: DataRequest.of_record(r, data).load())
    caption = (
        f"Of the states that the policy meets in {episodes} episodes, and of those of held-out "
        "episodes of the data; in standard deviations of the data. Beyond: share of states "
        "farther than 99 % of the held-out ones."
    )
    names = ("seed", "states", "median", "99 %", "data: median", "data: 99 %", "beyond")
    lines = []
    for row in state_distances(run, loaded, episodes=episodes):
        seed, states, *distances, beyond = row.values()
        lines.append((str(seed), str(states), *(f"{d:.3f}" for d in distances), f"{beyond:.1%}"))
    least = "states, data: 99 %, 99 %, data: median"
    _print("Distance to the nearest recorded state", names, lines, least, caption)
