"""`train --benchmark SUITE`: the plan of a suite, its runs one after another, one table."""

import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from shared.errors import ConfigError, Interrupted, UserError

CONTRADICTORY = {
    "dataset": "--env",
    "data": "--data",
    "resume": "--resume",
    "model": "--model",
    "features": "--features",
    "sweeps": "--sweep",
}
NOTE = (
    "Time and memory are estimates: matrix products at the rate measured just now, doubled, "
    "without recording, compiling and scoring; data and state without intermediates."
)


def train_suite(family: str, words: dict[str, Any]) -> None:
    """Print the plan of a suite, and train what of it is not finished yet.

    Arguments:
        family: `cnf` or `clap`.
        words: the options of the `train` command.

    Raises:
        ConfigError: an unknown suite, or options that contradict it.
        UserError: one or more data sets failed; the others were trained.
    """
    from shared.cli.words import request_of
    from shared.data.suites import data_sets, is_seen_in_pixels
    from shared.runs import registry, suites

    for name, flag in CONTRADICTORY.items():
        if words[name]:
            raise ConfigError(f"--benchmark chooses its own data sets and runs; leave out {flag}.")
    asked = request_of(family, words)
    sees = registry.find(family, asked.algorithm).observations
    if asked.data.observation is None and is_seen_in_pixels(words["benchmark"]):
        seen = "pixels" if "pixels" in sees else "state"
        asked = replace(asked, data=replace(asked.data, observation=seen))
    out = asked.out or Path("runs") / words["benchmark"] / f"{asked.algorithm}-{asked.preset}"
    requests = {
        name: replace(asked, data=replace(asked.data, name=name), out=out / name)
        for name in data_sets(words["benchmark"])
    }
    plans = {name: request.plan() for name, request in requests.items()}
    states = {name: suites.status(out / name, plan) for name, plan in plans.items()}
    _print_plan(words["benchmark"], asked, plans, states)
    if words["only_plan"]:
        return
    failed = {}
    for name, request in requests.items():
        if states[name] != "finished":
            click.echo(f"== {name} -> {out / name}", err=True)
            sentence = _train_one(request, resumes=states[name] == "unfinished")
            failed |= {name: sentence} if sentence else {}
    _report(out, [*requests])
    if failed:
        told = "; ".join(f"{name}: {sentence.rstrip('.')}" for name, sentence in failed.items())
        raise UserError(f"{len(failed)} of {len(requests)} data sets failed ({told}).")


def _print_plan(suite: str, asked, plans: dict, states: dict) -> None:
    from rich.table import Table

    from shared.comparison.console import make_console
    from shared.data.catalog import lookup
    from shared.runs import estimates, suites
    from shared.training import program

    rate = estimates.product_rate()
    title = f"plan of {suite}: {asked.algorithm}, {asked.preset}"
    table = Table(title=title, caption=NOTE, title_justify="left", caption_justify="left")
    unit = "frames" if asked.data.observation == "pixels" else "rows"
    for k, column in enumerate(("data set", "state", "data", unit, "updates", "time", "memory")):
        justify = "left" if k < 3 else "right"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=k == 0)
    total = 0.0
    for name, plan in plans.items():
        entry = lookup(name)
        source = suites.foresee_source(
            entry, asked.data.source, asked.data.root, plan.settings.rows
        )
        rows = entry.rows if "official" in source else min(plan.settings.rows, entry.rows)
        cost = estimates.costs_of_task(plan, entry.environment)
        seconds, (device, host) = cost.seconds(rate), cost.memory(rows)
        total += seconds if states[name] != "finished" else 0.0
        phases = program.phases_of(plan.build(), plan.settings.online_steps)
        updates = ", ".join(f"{p.name} {p.steps:,}" for p in phases)
        memory = f"{size(device)} device, {size(host)} host"
        cells = (source, f"{rows:,}", updates, estimates.duration(seconds), memory)
        table.add_row(name, states[name], *cells)
    table.add_section()
    table.add_row("left to do", "", "", "", "", estimates.duration(total), "")
    make_console().print(table)


def size(count: int) -> str:
    """Bytes in MiB or GiB."""
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def _train_one(request, *, resumes: bool) -> str | None:
    """Train one data set of the suite; what went wrong, if it did."""
    import jax

    from shared.cli.outcome import show_outcome
    from shared.runs.resume import resume
    from shared.runs.start import start
    from shared.training.progress import terminal_progress

    progress = terminal_progress()
    try:
        if resumes:
            paths = resume(request.out, data_dir=request.data.data_dir, progress=progress)
        else:
            paths = start(request, progress=progress)
        show_outcome(paths)
    except Interrupted as error:
        raise Interrupted(f"{error} (the suite goes on by its own command)") from None
    except UserError as error:
        click.echo(f"error: {request.dataset}: {error}", err=True)
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
        write_comparison(runs, [out / "comparison"], mode="both")
