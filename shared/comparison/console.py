"""Where tables are printed."""

from rich.console import Console


def make_console(width: int | None = None) -> Console:
    """A console of this `width`; without one, that of the terminal, or 160 into a pipe or file."""
    console = Console(width=width)
    return console if width or console.is_terminal else Console(width=160)
