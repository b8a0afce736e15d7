"""A progress bar for downloads and recordings, with the time that is left."""

import contextlib
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
    """Yields a callback `(kind, done, total)` for `shared.loading.request.DataRequest.load`.

    The bar goes to standard error and appears with the first call.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def update(kind: str, done: int, total: int | None) -> None:
            verb, size, unit = _UNITS[kind]
            if kind not in tasks:
                tasks[kind] = bars.add_task(f"{verb} {label}", unit=unit)
            scaled = None if total is None else -(-total // size)
            bars.update(tasks[kind], completed=done // size, total=scaled)

        yield update
