"""Where tables are printed."""

import os
import sys

from rich.console import Console


def make_console(width: int | None = None) -> Console:
    """A console of this `width`; else that of the terminal or of COLUMNS, 160 into a file."""
    if not (sys.stdout.encoding or "utf-8").lower().startswith("utf"):  # ± into ASCII, say
        getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="replace")
    console = Console(width=width)
    known = width or console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return console if known else Console(width=160)
