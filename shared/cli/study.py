"""`study`: algorithms on data sets over seeds, planned, carried out, told of."""

from pathlib import Path

import click

from shared.cli.completion import complete_study
from shared.errors import ConfigError, UserError


@click.group(name="study")
def study_group():
    """Run many trainings as one study, and report on them."""


def _out(command):
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder of the study  [default: runs/studies/NAME]",
    )(command)


def _study(command):
    return click.argument("name", metavar="NAME|FILE|DIR", shell_complete=complete_study)(command)


@study_group.command("list")
def list_command():
    """List the studies that come with the project."""
    from rich.table import Table

    from shared.comparison.console import make_console
    from shared.studies.reading import committed, find_study

    table = Table(box=None, pad_edge=False)
    for column in ("study", "data", "rows", "title"):
        table.add_column(column, justify="right" if column in ("data", "rows") else "left")
    for name, file in committed().items():
        study = find_study(str(file), None)
        table.add_row(name, str(len(study.data)), str(len(study.rows)), study.title)
    make_console().print(table)


@study_group.command("run")
@_study
@_out
@click.option(
    "--launcher",
    type=click.Choice(["local", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="Processes of this machine, a Ray cluster, or Slurm.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Runs at a time  [default: one a GPU, else one a core]",
)
@click.option(
    "--resources",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="What a worker gets: num_gpus=1 (ray); slurm_partition=gpu, timeout_min=240 (slurm).",
)
@click.option(
    "--data",
    "files",
    multiple=True,
    metavar="LABEL=FILE",
    help="A file that the study leaves open.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="LATENT_POLICIES_DATA",
    metavar="DIR",
    help="Where data sets are kept.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Only rows and data sets that match, e.g. 'hopper-*', and what they take over.",
)
@click.option("--dry-run", "only_plan", is_flag=True, help="Print the plan only.")
def run_command(name, out, launcher, workers, pairs, files, data_dir, only, only_plan):
    """Train every run of a study that is not finished yet.

    NAME is one of 'study list', FILE a YAML file of your own, DIR the folder of a
    study that was begun.  The same command goes on where the last one was
    stopped.
    """
    from shared.cli.study_tables import print_plan
    from shared.runs.config import parse_overrides
    from shared.studies.costs import costs_of
    from shared.studies.folder import FILE, LOGS, default_folder, freeze, open_study
    from shared.studies.jobs import make_jobs
    from shared.studies.launchers.choice import make_workers
    from shared.studies.reading import find_study
    from shared.studies.run import carry_out
    from shared.training.progress import terminal_progress

    if (Path(name) / FILE).exists():
        study, out = open_study(name, out, _files(files))
    else:
        study, out = find_study(name, _files(files)), out or default_folder(name)
    jobs = make_jobs(study, out, data_dir=data_dir, only=only)
    place = make_workers(launcher, workers, out, parse_overrides(pairs))
    costs = costs_of(jobs)
    print_plan(study, jobs, costs, place.count)
    if only_plan:
        return
    freeze(study, out)
    seconds = {folder: cost.seconds for folder, cost in costs.items()}
    tell = lambda sentence: click.echo(sentence, err=True)  # noqa: E731
    progress = terminal_progress()
    failed = carry_out(jobs, out, place, tell=tell, progress=progress, seconds=seconds)
    click.echo(f"study folder: {out} (logs of the workers in {out / LOGS})")
    click.echo(f"next: cnf study report {out}")
    if failed:
        names = {job.folder: job.name for job in jobs}
        told = "; ".join(f"{names[x]}: {why.rstrip('.')}" for x, why in failed.items())
        raise UserError(f"{len(failed)} of {len(names)} runs failed ({told}).")


@study_group.command("status")
@_study
@_out
def status_command(name, out):
    """Say how each run of a study stands, by its run folder."""
    from shared.cli.study_tables import print_status
    from shared.studies.folder import open_study
    from shared.studies.jobs import make_jobs

    study, out = open_study(name, out)
    print_status(study, make_jobs(study, out), out)


@study_group.command("report")
@_study
@_out
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for the report  [default: report in the study's folder]",
)
@click.option(
    "--readings",
    "page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="PAGE",
    help="Only write notes and readings of this page again, from the table beside it.",
)
def report_command(name, out, target, page):
    """Write the tables, curves and page of a study.

    If it has sweeps, every finished run is judged before, once: how far its actions lie from the
    data, and how wrong its critics are about what it earns.
    """
    from shared.choice.judged import judge_all
    from shared.cli.compare import write_comparison
    from shared.studies.folder import REPORT, open_study
    from shared.studies.jobs import make_jobs
    from shared.studies.reading import find_study
    from shared.studies.reporting import (
        finished,
        refresh_page,
        require_scores,
        runs_of,
        write_page,
    )

    if page is not None:
        refresh_page(find_study(name, None), page)
        return
    study, out = open_study(name, out)
    jobs, target = make_jobs(study, out), target or out / REPORT
    how = {"mode": study.report.mode, "axis": study.report.axis}
    words = {"title": study.title, "question": study.question}
    runs = runs_of(jobs)
    require_scores(runs)
    if any(job.row.sweep for job in jobs):
        tell = lambda sentence: click.echo(sentence, err=True)  # noqa: E731
        judge_all(dict.fromkeys(folder for job in jobs for folder in finished(job)), tell)
        runs = runs_of(jobs)
    write_comparison(runs, [target], **how, **words)
    click.echo(write_page(study, jobs, target))


@study_group.command("pack")
@_study
@_out
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The archive  [default: NAME.zip]",
)
def pack_command(name, out, target):
    """Write a study's finished runs, without weights, into one small archive.

    It holds what tables and plots are made of, and names no folder of this machine.
    """
    from shared.studies.folder import open_study
    from shared.studies.jobs import make_jobs
    from shared.studies.records import pack

    study, out = open_study(name, out)
    jobs, target = make_jobs(study, out), target or Path(f"{study.name}.zip")
    count = pack(jobs, out, target)
    size = target.stat().st_size / 1024
    click.echo(f"{target}: {count} of {len(jobs)} runs are finished and in it, {size:,.0f} KiB")
    click.echo(f"next: cnf study unpack {target}")


@study_group.command("unpack")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the study, new or begun  [default: runs/studies/NAME]",
)
def unpack_command(file, out):
    """Bring the runs of an archive of 'study pack' into a study's folder.

    So parts that several machines trained come together: 'study run' trains what
    is still missing, 'study report' tells of all.
    """
    from shared.studies.records import unpack

    out, come, there = unpack(file, out)
    click.echo(f"{out}: {come} run folders came, {there} were finished there")
    click.echo(f"next: cnf study status {out} | cnf study report {out}")


def _files(texts: tuple[str, ...]) -> dict[str, Path]:
    """The words of `--data`."""
    pairs = [text.partition("=") for text in texts]
    for label, separator, file in pairs:
        if not separator or not file:
            raise ConfigError(f"--data '{label}' is not of the form LABEL=FILE.")
    return {label: Path(file) for label, _, file in pairs}
