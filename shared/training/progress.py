"""Progress on the terminal, of loading and of training: a bar with ETA, or a line now and then."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

Update = Callable[[str, int, int | None], None]
"""Called with the kind of work, units done and units in total."""
_UNITS = {
    "download": ("downloading", 1 << 20, "MiB"),
    "collect": ("recording", 1, "rows"),
    "draw": ("recording", 1, "frames"),
    "load": ("reading", 1, "frames"),
}


class Progress:
    """Silent; the interface that loading and the training loop speak to."""

    @contextlib.contextmanager
    def loading(self, label: str) -> Iterator[Update | None]:
        """What to call while the data of this name are fetched, recorded or read."""
        del label
        yield None

    def tell(self, sentence: str) -> None:
        """Something to know before training starts."""

    def expect(self, forecast: Callable[[], str]) -> None:
        """How long training will take, if anybody reads it: the forecast takes a second."""

    def begin(self, name: str, total: int, done: int = 0) -> None:
        """A stretch of `total` steps starts, `done` of them done already."""

    def advance(self, done: int, metrics: dict[str, float]) -> None:
        """`done` steps of the current stretch are done."""

    def score(self, value: float, name: str = "score") -> None:
        """An evaluation finished with this mean `score`, or `return` where there is no score."""

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        pass


class TerminalProgress(Progress):
    """What bars and lines share: loading is a bar either way, shown with its first unit."""

    @contextlib.contextmanager
    def loading(self, label):
        with loading_bar(label) as update:
            yield update

    def expect(self, forecast):
        self.tell(forecast())


class BarProgress(TerminalProgress):
    """One bar a stretch, with rate, ETA, a loss and the last score."""

    def __init__(self):
        self._bars = Bars(
            TextColumn("[bold]{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=sys.stderr),
        )
        self._task = None
        self._note, self._score = "", ""

    def tell(self, sentence):
        self._bars.console.print(sentence)

    def begin(self, name, total, done=0):
        self._task = self._bars.add_task(name, total=total, completed=done, note="compiling")

    def advance(self, done, metrics):
        shown = [f"{key} {value:.3g}" for key, value in list(metrics.items())[:2]]
        self._note = "  ".join(shown)
        self._bars.update(self._task, completed=done, note=f"{self._note}{self._score}")

    def score(self, value, name="score"):
        self._score = f"  [green]{name} {value:.1f}"
        if self._task is not None:
            self._bars.update(self._task, note=f"{self._note}{self._score}")

    def __enter__(self):
        self._bars.start()
        return self

    def __exit__(self, *exception):
        self._bars.stop()


class LineProgress(TerminalProgress):
    """For logs that are no terminal: at most one line every `interval` seconds."""

    def __init__(self, interval: float = 10.0):
        self._interval, self._last, self._begun = interval, 0.0, 0.0
        self._name, self._total, self._first, self._score = "", 0, 0, ""

    def tell(self, sentence):
        print(sentence, file=sys.stderr, flush=True)

    def begin(self, name, total, done=0):
        self._name, self._total, self._first = name, total, done
        self._begun, self._last = time.monotonic(), 0.0
        print(f"{name}: {done}/{total}", file=sys.stderr, flush=True)

    def advance(self, done, metrics):
        now = time.monotonic()
        if now - self._last < self._interval and done < self._total:
            return
        self._last = now
        rate = (done - self._first) / max(now - self._begun, 1e-9)
        eta = (self._total - done) / max(rate, 1e-9)
        shown = "  ".join(f"{key} {value:.3g}" for key, value in list(metrics.items())[:2])
        print(
            f"{self._name}: {done}/{self._total}  {rate:.0f}/s  eta {eta:.0f}s  "
            f"{shown}{self._score}",
            file=sys.stderr,
            flush=True,
        )

    def score(self, value, name="score"):
        self._score = f"  {name} {value:.1f}"


def terminal_progress() -> Progress:
    """A bar on a terminal, lines otherwise."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


@contextlib.contextmanager
def loading_bar(label: str) -> Iterator[Update]:
    """Yields a callback `(kind, done, total)` for `shared.loading.request.DataRequest.load`.

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
    with Bars(*columns, console=console, transient=True, disable=silent) as bars:

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
