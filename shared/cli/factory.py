"""One command line for both families."""

import importlib
import sys
import warnings
from collections.abc import Iterable

import click

from shared.errors import Advice, Interrupted, UserError
from shared.training.kept_programs import keep_programs


class Later(click.Command):
    """A command or group that is imported when it is used, not to show that it is there.

    Attributes:
        place: `module:object`.
    """

    def __init__(self, name: str, place: str, short_help: str):
        super().__init__(name, short_help=short_help)
        self.place = place

    def load(self) -> click.Command:
        """The command itself."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)


class Command(click.Group):
    """A group that tells a `UserError`, Ctrl-C and an `Advice` in one sentence each."""

    def resolve_command(self, ctx, args):
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would make it 1, and say that it was aborted
            raise Interrupted("interrupted") from None

    def main(self, *args, **kwargs):
        usual = warnings.showwarning

        def show(message, category, *place):
            if issubclass(category, Advice):
                click.echo(f"warning: {message}", err=True)
            else:
                usual(message, category, *place)

        warnings.showwarning = show
        try:
            return super().main(*args, **kwargs)
        except UserError as error:
            mistake = "" if isinstance(error, Interrupted) else "error: "
            click.echo(f"{mistake}{error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            if error.errno is None:
                raise
            click.echo(f"error: {error.filename or 'output'}: {error.strerror}.", err=True)
            sys.exit(1)
        finally:
            warnings.showwarning = usual


EPILOG = """\b
Exit codes: 0 done, 1 other, 2 configuration or usage, 3 data, 4 run folder,
5 a loss became NaN, 6 a system package is missing, 7 a simulator failed,
8 an observation is unfit, 9 a policy file, 130 interrupted."""


def make_cli(family: str, summary: str, examples: str, later: Iterable[Later] = ()) -> click.Group:
    """The whole command line of one family, the same words for both.

    Arguments:
        family: `cnf` or `clap`; also the name of the command.
        summary: first line of the help.
        examples: shown below it, one a line.
        later: commands of the family's own.
    """
    from shared.cli.algorithms import algorithms_command
    from shared.cli.choose import choose
    from shared.cli.compare import compare
    from shared.cli.data import data_group
    from shared.cli.evaluate import evaluate_command
    from shared.cli.export import export_command, release_command
    from shared.cli.study import study_group
    from shared.cli.train import train_command

    @click.group(
        name=family,
        cls=Command,
        help=f"{summary}\n\n\b\n{examples}",
        epilog=EPILOG,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
        },
    )
    @click.version_option(package_name="latent-policies")
    def cli():
        keep_programs()

    for command in (
        train_command(family),
        evaluate_command(),
        export_command(),
        release_command(),
        data_group,
        algorithms_command(family),
        compare,
        choose,
        study_group,
        *later,
    ):
        cli.add_command(command)
    return cli
