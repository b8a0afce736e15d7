"""A progress bar for downloads and recordings, with the time that is left."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

_UNITS = {
    "download": ("downloading", 1 << 20, "MiB"),
    "collect": ("recording", 1, "rows"),
    "draw": ("recording", 1, "frames"),
    "load": ("reading", 1, "frames"),
}


@contextlib.contextmanager
def show_progress(label: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yields a callback `(kind, done, total)` for `shared.loading.resolve.load_data`.

    The bar goes to standard error and appears with the first call; where that is no
    terminal, a line says what begins.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    console = Console(stderr=True)
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bars:

        def update(kind: str, done: int, total: int | None) -> None:
            verb, size, unit = _UNITS[kind]
            scaled = None if total is None else -(-total // size)
            if kind not in tasks:
                tasks[kind] = bars.add_task(f"{verb} {label}", unit=unit)
                if silent:
                    amount = "" if scaled is None else f": {scaled:,} {unit}"
                    print(f"{verb} {label}{amount}", file=sys.stderr, flush=True)
            bars.update(tasks[kind], completed=done // size, total=scaled)

        yield update
