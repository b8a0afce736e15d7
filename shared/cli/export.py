"""`export`: take a policy away, without this package."""

from pathlib import Path

import click

HELP = """Write the policy of RUN into FILES; an ending is a format.

\b
.stablehlo   for JAX and other compilers
.onnx        for onnxruntime; needs the extra 'onnx'
.npz         for NumPy alone; policy_reader.py is put beside it

Observations and commands are in the robot's units.  See docs/export.md."""


def export_command() -> click.Command:
    """The `export` command."""

    @click.command(name="export", help=HELP)
    @click.argument("run", type=click.Path(path_type=Path))
    @click.argument(
        "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
    )
    @click.option("--seed", type=int, help="Which of the run's seeds.  [default: the first]")
    @click.option("--checkpoint", metavar="NAME", help="A checkpoint of RUN.  [default: the last]")
    @click.option(
        "--part",
        type=click.Choice(["policy", "decoder"]),
        default="policy",
        show_default=True,
        help="The policy, or the decoder of its latent actions: observation and latent to action.",
    )
    @click.option("--sampled", is_flag=True, help="Draw actions, in place of the policy's mode.")
    @click.option("--force", is_flag=True, help="Replace files that exist.")
    def export(run, files, **choices):
        from shared.export.export import export_run

        for path in export_run(run, *files, **choices):
            click.echo(f"{path}: {path.stat().st_size:,} bytes")

    return export


def release_command() -> click.Command:
    """The `release` command."""

    @click.command(name="release")
    @click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
    @click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("releases"),
        show_default=True,
        help="The folder that holds releases.",
    )
    @click.option("--name", required=True, help="Of the release.")
    @click.option("--licence", default="Apache-2.0", show_default=True, help="Of the policies.")
    def release(runs, out, name, licence):
        """Pack the policies of RUNS, each with a card, for any folder or web server.

        shared.load_policy("POLICY@NAME") then fetches, checks and loads one;
        LATENT_POLICIES_RELEASES says from where.
        """
        from shared.export.release import release_runs

        for path in sorted(release_runs(runs, out, name, licence=licence).iterdir()):
            click.echo(f"{path}: {path.stat().st_size:,} bytes")

    return release
