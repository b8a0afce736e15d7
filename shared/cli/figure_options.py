"""Options that commands which draw a figure share."""

from collections.abc import Callable
from pathlib import Path

import click


def folder_option(holds: str) -> Callable:
    """`--out`, the folder that gets the files named in `holds`."""
    return click.option(
        "--out",
        default=Path("figures"),
        show_default=True,
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help=f"Folder for {holds}.",
    )


def training_options(steps: int, of: str) -> Callable:
    """`--seed` and `--steps`, by default this many updates `of` what is fitted for the figure."""

    def add(command: Callable) -> Callable:
        help_ = f"Updates of {of}."
        count = click.option(
            "--steps", default=steps, show_default=True, type=click.IntRange(min=1), help=help_
        )
        seed = click.option(
            "--seed", default=0, show_default=True, help="Seed of data, training and samples."
        )
        return seed(count(command))

    return add
