"""Where tables are printed."""

import os

from rich.console import Console


def make_console(width: int | None = None) -> Console:
    """A console of this `width`; else that of the terminal or of COLUMNS, 160 into a file."""
    console = Console(width=width)
    known = width or console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return console if known else Console(width=160)
