"""The `data` commands: what is on disk, fetching, recording, inspecting and converting."""

import os
import shutil
from pathlib import Path

import click

from shared.cli.completion import complete_dataset
from shared.cli.convert import ACTION_RANGE, ACTION_RANGE_HELP, convert_command
from shared.environments.open_tasks import is_open
from shared.errors import ConfigError, DataError

PLACE = "make room, or name another place"
_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LATENT_POLICIES_DATA",
    default=Path("~/.cache/latent-policies"),
    show_default=True,
    callback=lambda context, parameter, value: value.expanduser(),
    help="Root of the data cache.",
)


@click.group("data")
def data_group() -> None:
    """List, fetch, record, inspect and convert data sets."""


data_group.add_command(convert_command)


@data_group.command("list")
@click.option("--long", is_flag=True, help="Also file, digest, rows, horizon, scale and quirks.")
@_DATA_DIR
def list_command(data_dir: Path, long: bool) -> None:
    """All data sets, and which of them are on disk."""
    from shared.comparison.console import make_console
    from shared.comparison.fitting import fit
    from shared.data.catalog import datasets

    blocks: dict[str, list[tuple[str, ...]]] = {}
    for entry in datasets().values():
        simulator = entry.environment.simulator or "nothing"
        block = blocks.setdefault(f"scored by {simulator}", [])
        found = _on_disk(entry, data_dir) or [("", "")]
        rest = _details(entry) if long else ()
        block.append((entry.name, *("\n".join(texts) for texts in zip(*found, strict=True)), *rest))
    names = ("data set", "on disk", "size", *(_DETAILS if long else ()))
    console = make_console(360 if long else None)
    table, _ = fit(console, names, blocks)
    console.print(table)
    console.print(f"Cache: {data_dir}.  'data list --long' tells more.", highlight=False)


def _on_disk(entry, data_dir: Path) -> list[tuple[str, str]]:
    """What the cache holds of a data set: (source and kind, size)."""
    from shared.loading.places import official_path
    from shared.storage.sizes import bytes_of

    official = official_path(entry, data_dir)
    files = [("official" if entry.is_ours else entry.suite, official)] if official.exists() else []
    collected = data_dir / "collected"
    for path in sorted(collected.glob(f"{entry.name}-[0-9]*-seed[0-9]*.*")):
        if path.suffix not in (".hdf5", ".npz"):
            continue  # a note, or a recording under way
        files.append((f"collected {path.stem.removeprefix(entry.name + '-')}", path))
    for path in sorted(collected.glob(f"{entry.name}-[0-9]*px-*/")):
        files.append((f"collected {path.name.removeprefix(entry.name + '-')}", path))
    return [(label, f"{bytes_of(path) / 2**20:,.1f} MiB") for label, path in files]


_DETAILS = ("rows", "horizon", "score 0 at", "score 100 at", "quirk", "file", "SHA-256")


def _details(entry) -> tuple[str, ...]:
    """What the table of `data list --long` has besides."""
    task = entry.environment
    return (
        f"{entry.rows:,}",
        f"{task.horizon:,}",
        "no success" if task.by_success else f"{task.minimum:,.1f}",
        "success" if task.by_success else f"{task.maximum:,.1f}",
        task.quirk,
        entry.file,
        entry.sha256 or "not known",
    )


@data_group.command("fetch")
@click.argument("name", shell_complete=complete_dataset)
@click.option(
    "--size", type=click.Choice(["64", "84"]), default="64", help="V-D4RL: pixels of a frame."
)
@_DATA_DIR
def fetch_command(name: str, size: str, data_dir: Path) -> None:
    """Download the official file of the data set NAME; continues where it stopped.

    Of V-D4RL a whole folder is fetched, file by file.  LATENT_POLICIES_MIRROR names a
    server of your own that is tried first, LATENT_POLICIES_OFFLINE=1 forbids downloads.
    """
    from shared.data.catalog import lookup
    from shared.loading.fetch import fetch
    from shared.training.progress import loading_bar

    entry = lookup(name)
    with loading_bar(entry.name) as update:
        path = fetch(
            entry,
            data_dir,
            size=int(size),
            progress=lambda done, total: update("download", done, total),
        )
    click.echo(f"{entry.name}: {path}")


@data_group.command("collect")
@click.argument("name", shell_complete=complete_dataset)
@click.option("--rows", type=click.IntRange(min=1), help="Rows to record.  [default: D4RL's]")
@click.option("--frames", type=click.IntRange(min=1), help="Record pixels with the states.")
@click.option("--size", type=click.Choice(["64", "84"]), default="64", help="Pixels of a frame.")
@click.option(
    "--render",
    type=click.Choice(["fast", "faithful"]),
    default="fast",
    show_default=True,
    help="Without shadows, reflections and multisampling, or with.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--behavior",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of policies from 'train-behavior'.  [default: this package's, or the cache's]",
)
@click.option("--out", type=click.Path(path_type=Path), help="File (of frames: folder) to write.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: one a core]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@_DATA_DIR
def collect_command(
    name: str,
    rows: int | None,
    frames: int | None,
    size: str,
    render: str,
    seed: int,
    behavior: Path | None,
    out: Path | None,
    workers: int | None,
    force: bool,
    data_dir: Path,
) -> None:
    """Record the data set NAME from the real simulator; a stand-in, not D4RL.

    OGBench's are played by its own scripted oracles, once for all tasks of a file; such a
    recording goes on where it was stopped.

    With --frames, dm_control's tasks are recorded as pixels and states in V-D4RL's
    layout, with a contact sheet; a recording that was stopped goes on.

    NAME may be any task of dm_control or gymnasium with a quality, e.g.
    dm_control/cartpole-swingup-medium_expert or gymnasium/Pendulum-v1-random; all but random
    want policies of 'train-behavior'.
    """
    from shared.data.catalog import lookup
    from shared.loading.places import collected_path
    from shared.loading.stand_ins import collect
    from shared.training.progress import loading_bar

    entry = lookup(name)
    workers = workers or os.cpu_count() or 1
    if frames is not None:
        if rows is not None or force:
            raise ConfigError("--frames takes neither --rows nor --force; name another --out.")
        how = {"size": int(size), "render": render, "seed": seed, "behavior": behavior}
        how |= {"out": out, "workers": workers, "data_dir": data_dir}
        _collect_frames(entry.name, frames, **how)
        return
    rows = entry.rows if rows is None else rows
    path = collected_path(entry.name, rows, seed, data_dir) if out is None else out
    if path.exists() and not force:
        raise DataError(f"{path}: exists already; use --force to replace it, or another --out.")
    with loading_bar(entry.name) as update:
        collect(
            entry.name,
            rows,
            seed=seed,
            data_dir=data_dir,
            out=path,
            workers=workers,
            behavior=behavior,
            force=force,
            progress=update,
        )
    click.echo(f"{entry.name}: {path} ({rows:,} rows, collected, not {entry.benchmark})")


def _collect_frames(name: str, frames: int, *, render: str, **how) -> None:
    from shared.data.report.contact_sheet import draw_contact_sheet
    from shared.loading.stand_ins import collect_pixels
    from shared.training.progress import loading_bar

    with loading_bar(name) as update:
        folder = collect_pixels(name, frames, render=render, **how, progress=update)
    sheet = folder.with_name(f"{folder.name}.png")
    draw_contact_sheet(folder, sheet)
    click.echo(f"{name}: {folder} (drawn {render}, collected, not V-D4RL)")
    click.echo(f"contact sheet: {sheet}")


@data_group.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--env",
    "name",
    shell_complete=complete_dataset,
    help="Data set or task that it is, for scores and sizes.",
)
@click.option("--action-range", type=ACTION_RANGE, help=ACTION_RANGE_HELP)
@click.option("--cut-jumps", is_flag=True, help="End episodes where the next row is no step on.")
@click.option("--plot", type=click.Path(path_type=Path), help="[default: <stem>-returns.png here]")
@click.option("--no-plot", is_flag=True, help="Write no histogram.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page on the health of the data, .html or .png, in the place of the histogram.",
)
@_DATA_DIR
def inspect_command(
    file: Path,
    name: str | None,
    action_range: tuple[float, ...] | None,
    cut_jumps: bool,
    plot: Path | None,
    no_plot: bool,
    report: Path | None,
    data_dir: Path,
) -> None:
    """Show what FILE holds, its faults, and a histogram of its returns.

    FILE may be HDF5 or npz with D4RL's keys, a folder of such files, a Minari data set, a LeRobot
    folder, a YAML that names the columns of a robot's recording, the name of a data set in the
    cache, or a folder (or an archive) of V-D4RL episodes, of which a contact sheet is drawn.
    """
    from shared.comparison.console import make_console
    from shared.data.catalog import canonical_name, is_data_set, lookup
    from shared.data.files.source import form_of
    from shared.data.reader import examine
    from shared.data.recording.units import Options
    from shared.data.report.tables import plot_returns, print_report
    from shared.health.content import check_ending
    from shared.loading.places import official_path
    from shared.storage.durable import disk_errors

    if report is not None:
        check_ending(report.name)
    official = False
    if not file.exists() and is_data_set(canonical_name(str(file))):
        entry = lookup(str(file))
        name = name or entry.name
        file, official = official_path(entry, data_dir), entry.is_ours
    stem = Path(os.path.realpath(file)).stem  # `resolve` raises where links lead in a circle
    if file.exists() and form_of(file) == "vd4rl":
        if report is not None:
            raise ConfigError("--report is of states; of pictures the contact sheet is the report.")
        target = None if no_plot else plot or Path(f"{stem}-frames.png")
        _inspect_frames(file, name, target, official)
        return
    options = Options(action_range, cut_jumps)
    examined = examine(file, name=name, official=official, options=options)
    print_report(examined, make_console())
    if report is not None:
        from shared.health import health_of, write_health

        with disk_errors(f"{report} could not be written", PLACE):
            click.echo(f"report: {write_health(health_of(examined), report)}")
    elif examined.columns is not None and not no_plot:
        target = plot or Path(f"{stem}-returns.png")
        target = target if target.suffix else target.with_suffix(".png")
        with disk_errors(f"{target} could not be written", PLACE):
            plot_returns(examined, target)
        click.echo(f"histogram: {target}")
    errors = sum(fault.severity == "error" for fault in examined.faults)
    if errors:
        raise DataError(f"{file}: training refuses this file because of {errors} error(s) above.")


def _inspect_frames(path: Path, name: str | None, target: Path | None, official: bool) -> None:
    from shared.comparison.console import make_console
    from shared.data.report.contact_sheet import draw_contact_sheet
    from shared.data.report.tables import print_frames
    from shared.data.vd4rl.reader import read_vd4rl

    data = read_vd4rl(path, name=name, official=official)
    print_frames(data, make_console())
    if target is not None and data.frames.image is not None:
        draw_contact_sheet(path, target)
        click.echo(f"contact sheet: {target}")


@data_group.command("train-behavior")
@click.argument("environment")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")
@click.option("--steps", type=click.IntRange(min=1), help="Environment steps.  [default: 3000000]")
@_DATA_DIR
def train_behavior_command(
    environment: str, seed: int, out: Path, steps: int | None, data_dir: Path
) -> None:
    """Train behaviour policies for ENVIRONMENT online; continues if OUT holds a state.

    ENVIRONMENT is a task of the table, or any of dm_control or gymnasium:
    dm_control/cartpole-swingup, gymnasium/Pendulum-v1.  Medium, expert and snapshots are chosen
    from the training at its end, and put where 'data collect' finds them.
    """
    from shared.behavior.policies import weights_name
    from shared.behavior.select import write_weights
    from shared.behavior.train import Settings, train_behavior

    settings = Settings() if steps is None else Settings(environment_steps=steps)
    train_behavior(environment, seed=seed, out=out, settings=settings)
    words = f"cnf data train-behavior {environment} --seed {seed} --steps"
    command = f"{words} {settings.environment_steps} --out DIR"
    file = out / weights_name(environment)
    record = write_weights(environment, out, file, command=command, seed=seed)
    if is_open(environment):
        kept = data_dir / "behavior" / file.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, kept)
    for name, about in record["policies"].items():
        if not name.startswith("step-"):
            click.echo(f"{name}: mean return {about['returns']['sampled_mean']:,.1f}")
    click.echo(f"policies: {file}; next: cnf data collect {environment}-QUALITY --behavior {file}")
