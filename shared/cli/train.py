"""`train`: from a data set's name to a trained, evaluated policy."""

import os
from pathlib import Path

import click

from shared.cli.completion import complete_algorithm, complete_dataset, complete_suite
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
        help="Data of your own: HDF5 or npz with D4RL's keys, a folder of such files, a Minari or "
        "V-D4RL folder.  Without --env nothing scores the policy.",
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
        help="'paper' for the paper's values, 'quick' for minutes on a CPU.",
    )
    @click.option(
        "--seeds",
        default=1,
        show_default=True,
        type=click.IntRange(1),
        help="Number of seeds, trained side by side in one program.",
    )
    @click.option("--seed", "first_seed", default=0, show_default=True, help="The first seed.")
    @click.option("--steps", type=click.IntRange(1), help="Updates of the policy.")
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
        "--sweep",
        "sweeps",
        multiple=True,
        metavar="KEY=A,B,...",
        help="Train a policy for every value side by side; needs --model.",
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
    def train(
        dataset,
        benchmark,
        only_plan,
        algo,
        data,
        source,
        data_dir,
        observation,
        preset,
        seeds,
        first_seed,
        steps,
        online_steps,
        pairs,
        out,
        resume,
        model,
        sweeps,
        label,
        loggers,
    ):
        """Train a policy on a fixed data set, and score it in its simulator."""
        from shared.cli.again import data_of_run
        from shared.cli.progress import show_progress
        from shared.cli.suite import train_suite
        from shared.loading.load import load_observations
        from shared.record.run_folder import require_empty
        from shared.runs import config, experiment, reuse, sweep_runs
        from shared.training.progress import terminal_progress
        from shared.training.sweep import grid

        context = click.get_current_context()
        if benchmark is not None:
            train_suite(context, family)
            return
        if only_plan:
            raise ConfigError("--dry-run needs --benchmark SUITE, whose plan it prints.")
        progress = terminal_progress()
        if resume is not None:
            _refuse_with_resume(context)
            found = lambda record: data_of_run(record, data, data_dir)  # noqa: E731
            if sweep_runs.is_sweep(resume):
                paths = sweep_runs.resume(resume, load_data=found, progress=progress)
            else:
                options = {"progress": progress, "loggers": loggers}
                paths = [reuse.resume(resume, load_data=found, **options)]
        else:
            if dataset is None and data is None:
                raise ConfigError(
                    "train needs --env NAME (see 'data list'), --data PATH or --resume RUN."
                )
            loaded = None
            if dataset is None:
                if observation == "pixels":
                    raise ConfigError("--observation pixels needs --env NAME; see 'data list'.")
                loaded = load_observations(None, data=data, source=source)
                dataset = loaded.name
            plan = plan_of(family, dataset, context.params)
            swept = grid(config.parse_sweeps(sweeps)) if sweeps else []
            if swept and model is None:
                raise ConfigError("--sweep needs --model RUN, the model that all values share.")
            if swept and loggers:
                raise ConfigError("--sweep: leave out --logger, which follows a single run.")
            plans = [plan_of(family, dataset, context.params, values) for values in swept]
            settings = plan.settings
            variant = "-pixels" if settings.observation == "pixels" else ""
            out = out or Path("runs") / dataset / f"{algo}-{preset}{variant}"
            require_empty(out)  # before minutes go into the data
            with show_progress(dataset) as update:
                loaded = loaded or load_observations(
                    dataset,
                    observation=settings.observation,
                    rows=settings.rows,
                    size=settings.frame_size,
                    render=settings.render,
                    data=data,
                    source=source,
                    data_dir=data_dir,
                    workers=os.cpu_count() or 1,
                    progress=update,
                )
            for sentence in filter(None, (loaded.note, *loaded.warnings)):
                click.echo(sentence, err=True)
            options = {"progress": progress, "label": label or f"{algo}{variant}"}
            frozen = None if model is None else reuse.load_model(model, plan, loaded)
            if frozen is None:
                paths = [experiment.start(plan, loaded, out, loggers=loggers, **options)]
            elif swept:
                paths = sweep_runs.start(plans, swept, loaded, out, frozen, **options)
            else:
                paths = [reuse.start(plan, loaded, out, frozen, loggers=loggers, **options)]
        _report(paths)

    return train


def plan_of(family: str, dataset: str, options: dict, swept: dict | None = None):
    """The plan of one data set with these `options` of the command, and swept values."""
    from shared.loading.load import default_observation
    from shared.runs import config, experiment, registry, reuse

    overrides = config.parse_overrides(options["pairs"])
    for name in ("steps", "online_steps", "observation"):
        if options[name] is not None:
            overrides[name] = options[name]
    if options["model"] is not None:
        overrides = reuse.model_overrides(options["model"], overrides)
    elif "pixels" in registry.find(family, options["algo"]).observations:
        place = {name: options[name] for name in ("data", "source", "data_dir")}
        overrides.setdefault("observation", default_observation(dataset, **place))
    first = options["first_seed"]
    return experiment.plan(
        family,
        options["algo"],
        dataset,
        preset=options["preset"],
        seeds=tuple(range(first, first + options["seeds"])),
        overrides=overrides | (swept or {}),
    )


def _refuse_with_resume(context: click.Context) -> None:
    """A resumed run is what it was: options that would change it are an error."""
    allowed = {"resume", "data", "data_dir", "loggers"}
    for name in context.params:
        given = context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
        if given and name not in allowed:
            raise ConfigError(
                f"--resume takes the run's own settings; leave out '--{name.replace('_', '-')}'."
            )


def _report(paths: list[Path]) -> None:
    """The final table of runs, as `compare` prints it, if they were scored."""
    from shared.comparison.read import read_run
    from shared.comparison.table import print_table

    scored = [run for run in map(read_run, paths) if run.episodes]
    if scored:
        print_table(scored)
    for path in paths:
        click.echo(f"run folder: {path}")
