"""`data convert`: the same data in another form."""

from pathlib import Path

import click

from shared.cli.completion import complete_dataset


class _ActionRange(click.ParamType):
    """`-2,2` or a pair a motor, as numbers."""

    name = "LOW,HIGH"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(x) for x in value.strip("[]").split(","))
        except ValueError:
            self.fail(f"'{value}' is not of the form -2,2 (or such a pair for each action).")


ACTION_RANGE = _ActionRange()
ACTION_RANGE_HELP = "Range of the commands, if the data do not say it: -2,2, or a pair a motor."


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "form",
    type=click.Choice(["d4rl", "npz", "minari", "vd4rl"]),
    help="Form to write.  [default: by OUT's ending, .hdf5 or .npz]",
)
@click.option(
    "--env",
    "name",
    shell_complete=complete_dataset,
    help="Data set or task that SOURCE is; its horizon cuts rows without flags.",
)
@click.option("--action-range", type=ACTION_RANGE, help=ACTION_RANGE_HELP)
@click.option("--cut-jumps", is_flag=True, help="End episodes where the next row is no step on.")
@click.option("--force", is_flag=True, help="Replace OUT, if it is a file or was converted before.")
def convert_command(
    source: Path,
    out: Path,
    form: str | None,
    name: str | None,
    action_range: tuple[float, ...] | None,
    cut_jumps: bool,
    force: bool,
) -> None:
    """Write the data of SOURCE to OUT in another form, and compare what was written.

    SOURCE may be HDF5 or npz with D4RL's keys, a folder of such files, a Minari data set, V-D4RL
    episodes, a LeRobot folder, or a YAML that names the columns of a recording.  OUT is a new file
    (d4rl, npz) or folder (minari, vd4rl).  What a form cannot hold is told; everything else is the
    same, bit for bit.
    """
    from shared.data.convert import convert
    from shared.data.recording.units import Options

    options = Options(action_range, cut_jumps)
    done = convert(source, out, form=form, name=name, force=force, options=options)
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    what = f"{done.steps:,} steps of {done.episodes:,} episodes as {done.form}"
    click.echo(f"{done.path}: {what}, read back and compared")
