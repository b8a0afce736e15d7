"""`train`: from a data set's name to a trained, evaluated policy."""

from pathlib import Path

import click

from shared.cli.completion import (
    complete_algorithm,
    complete_dataset,
    complete_preset,
    complete_suite,
)
from shared.errors import ConfigError


def _installed(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]):
    """Loggers whose packages can be imported; told before minutes go into the data."""
    from shared.training.loggers import require_logger

    for name in names:
        require_logger(name)
    return names


def train_command(family: str) -> click.Command:
    """The `train` command of one family."""

    @click.command(name="train")
    @click.option(
        "--env",
        "dataset",
        metavar="NAME",
        shell_complete=complete_dataset,
        help="Data set, e.g. hopper-medium; see 'data list'.  With --data also a task: hopper.",
    )
    @click.option(
        "--benchmark",
        metavar="SUITE",
        shell_complete=complete_suite,
        help="Train all data sets of a suite, e.g. vd4rl; goes on where it was stopped.",
    )
    @click.option("--dry-run", "only_plan", is_flag=True, help="Print the suite's plan only.")
    @click.option(
        "--algo",
        default=family,
        show_default=True,
        metavar="NAME",
        shell_complete=complete_algorithm(family),
        help="Algorithm; see 'algorithms'.",
    )
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Data of your own: HDF5 or npz with D4RL's keys, a folder of such files, a Minari, "
        "V-D4RL or LeRobot folder, or a YAML that names the columns of a recording.  Without --env "
        "nothing scores the policy.",
    )
    @click.option(
        "--source",
        type=click.Choice(["d4rl", "collected"]),
        help="Insist on the official file, or on the collected stand-in.",
    )
    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        envvar="LATENT_POLICIES_DATA",
        metavar="DIR",
        help="Where data sets are kept.",
    )
    @click.option(
        "--observation",
        type=click.Choice(["state", "pixels"]),
        help="What the policy sees  [default: pixels with a folder of V-D4RL, else state]",
    )
    @click.option(
        "--preset",
        default="paper",
        show_default=True,
        shell_complete=complete_preset(family),
        help="'paper' for the paper's values; 'quick' takes minutes, 'standard' half an hour.",
    )
    @click.option(
        "--seeds",
        default=1,
        show_default=True,
        type=click.IntRange(1),
        help="Number of seeds, trained side by side in one program.",
    )
    @click.option("--seed", "first_seed", default=0, show_default=True, help="The first seed.")
    @click.option(
        "--steps",
        type=click.IntRange(1),
        help="Updates of the policy; with --resume more than were planned.",
    )
    @click.option(
        "--online-steps",
        type=click.IntRange(1),
        metavar="N",
        help="Then fine-tune for N steps in the simulator, an update for each.",
    )
    @click.option(
        "--set",
        "pairs",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any hyperparameter or run setting; see 'algorithms NAME'.",
    )
    @click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The new run folder  [default: runs/ENV/ALGO-PRESET]",
    )
    @click.option(
        "--resume",
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Carry this run on; same bits as if it had never stopped.",
    )
    @click.option(
        "--model",
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Take over the frozen world model or action encoder of this run, and train the rest.",
    )
    @click.option(
        "--decoder",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="With DSRL: steer this frozen policy, .onnx or .stablehlo (observation, noise).",
    )
    @click.option(
        "--features",
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Learn on the states of the frozen world model of this run of clap.",
    )
    @click.option(
        "--sweep",
        "sweeps",
        multiple=True,
        metavar="KEY=A,B,...",
        help="Train a policy for every value; side by side where one program can hold them.",
    )
    @click.option("--label", help="Name of this variant in tables and plots.")
    @click.option(
        "--logger",
        "loggers",
        multiple=True,
        type=click.Choice(["tensorboard", "wandb"]),
        callback=_installed,
        help="Mirror metrics there too.",
    )
    def train(**words):
        """Train a policy on a fixed data set, and score it in its simulator."""
        from shared.cli.outcome import show_outcome
        from shared.cli.suite import train_suite
        from shared.cli.words import refuse_with_resume, request_of
        from shared.runs.resume import resume
        from shared.runs.start import start
        from shared.training.progress import terminal_progress

        context = click.get_current_context()
        if words["benchmark"] is not None:
            train_suite(family, words)
            return
        if words["only_plan"]:
            raise ConfigError("--dry-run needs --benchmark SUITE, whose plan it prints.")
        if words["resume"] is not None:
            refuse_with_resume(context)
            where = {name: words[name] for name in ("data", "data_dir", "steps", "loggers")}
            paths = resume(words["resume"], **where, progress=terminal_progress())
        else:
            if words["dataset"] is None and words["data"] is None:
                raise ConfigError(
                    "train needs --env NAME (see 'data list'), --data PATH or --resume RUN."
                )
            paths = start(request_of(family, words), progress=terminal_progress())
        show_outcome(paths)

    return train
