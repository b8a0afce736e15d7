"""`train --benchmark SUITE`: the plan of a suite, its runs one after another, one table."""

import traceback
from pathlib import Path

import click

from shared.errors import ConfigError, UserError

CONTRADICTORY = {
    "dataset": "--env",
    "data": "--data",
    "resume": "--resume",
    "model": "--model",
    "sweeps": "--sweep",
}
ALONE = ("benchmark", "only_plan")
NOTE = (
    "Time and memory are estimates: matrix products at the rate measured just now, doubled, "
    "without recording, compiling and scoring; data and state without intermediates."
)


def train_suite(context: click.Context, family: str) -> None:
    """Print the plan of a suite, and train what of it is not finished yet.

    Arguments:
        context: of the `train` command; every other option of it is passed on.
        family: `cnf` or `clap`.

    Raises:
        ConfigError: an unknown suite, or options that contradict it.
        UserError: one or more data sets failed; the others were trained.
    """
    from shared.runs import suites

    options = context.params
    for name, flag in CONTRADICTORY.items():
        if options[name]:
            raise ConfigError(f"--benchmark chooses its own data sets and runs; leave out {flag}.")
    names = suites.data_sets(options["benchmark"])
    out = options["out"] or _default_out(options)
    plans = {name: _plan(family, name, options) for name in names}
    states = {name: suites.status(out / name, plan) for name, plan in plans.items()}
    _print_plan(plans, states, options)
    if options["only_plan"]:
        return
    failed = {}
    for name in names:
        if states[name] != "finished":
            click.echo(f"== {name} -> {out / name}", err=True)
            sentence = _train_one(context, name, out / name, resume=states[name] == "unfinished")
            failed |= {name: sentence} if sentence else {}
    _report(out, names)
    if failed:
        told = "; ".join(f"{name}: {sentence.rstrip('.')}" for name, sentence in failed.items())
        raise UserError(f"{len(failed)} of {len(names)} data sets failed ({told}).")


def _default_out(options: dict) -> Path:
    return Path("runs") / options["benchmark"] / f"{options['algo']}-{options['preset']}"


def _plan(family: str, dataset: str, options: dict):
    from shared.cli.train import plan_of

    return plan_of(family, dataset, options)


def _print_plan(plans: dict, states: dict, options: dict) -> None:
    from rich.table import Table

    from shared.comparison.console import make_console
    from shared.data.catalog import lookup
    from shared.loading.resolve import default_data_dir
    from shared.runs import estimates, suites
    from shared.training import program

    rate = estimates.product_rate()
    root = Path(options["data_dir"]) if options["data_dir"] else default_data_dir()
    title = f"plan of {options['benchmark']}: {options['algo']}, {options['preset']}"
    table = Table(title=title, caption=NOTE, title_justify="left", caption_justify="left")
    for k, column in enumerate(("data set", "state", "data", "rows", "updates", "time", "memory")):
        table.add_column(column, justify="left" if k < 3 else "right", overflow="fold")
    total, known = 0.0, {}
    for name, plan in plans.items():
        entry = lookup(name)
        source = suites.foresee_source(entry, options["source"], root, plan.settings.rows)
        rows = entry.rows if "official" in source else min(plan.settings.rows, entry.rows)
        key = estimates.shapes_of(plan, entry.environment)
        if key not in known:
            known[key] = estimates.costs(plan, entry.environment)
        seconds, (device, host) = known[key].seconds(rate), known[key].memory(rows)
        total += seconds if states[name] != "finished" else 0.0
        phases = program.phases_of(plan.build(), plan.settings.online_steps)
        updates = ", ".join(f"{p.name} {p.steps:,}" for p in phases)
        memory = f"{size(device)} device, {size(host)} host"
        cells = (source, f"{rows:,}", updates, duration(seconds), memory)
        table.add_row(name, states[name], *cells)
    table.add_section()
    table.add_row("left to do", "", "", "", "", duration(total), "")
    make_console().print(table)


def duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """Bytes in MiB or GiB."""
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def _train_one(context: click.Context, name: str, out: Path, *, resume: bool) -> str | None:
    """Train one data set with all options of the suite's command; what went wrong, if it did."""
    import jax

    command = context.command
    options = dict.fromkeys(context.params) | context.params | dict.fromkeys(ALONE)
    options |= {"resume": out} if resume else {"dataset": name, "out": out}
    # A context of its own: the options were not given to this one on the command line.
    inner = click.Context(command, info_name=context.info_name, parent=context.parent)
    inner.params = options
    try:
        with inner.scope():
            inner.invoke(command.callback, **options)
    except UserError as error:
        click.echo(f"error: {name}: {error}", err=True)
        return str(error)
    except Exception as error:  # a fault of ours must not stop the other sets
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    finally:
        jax.clear_caches()
    return None


def _report(out: Path, names: list[str]) -> None:
    from shared.cli.compare import write_comparison
    from shared.comparison.read import find_runs

    folders = [out / name for name in names if (out / name / "run.json").exists()]
    runs = find_runs(folders)
    if any(run.episodes for run in runs):
        write_comparison(runs, out / "comparison", mode="both")
