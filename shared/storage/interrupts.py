"""Ctrl-C that waits until a piece of work is whole."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Ctrl-C inside of it takes effect at its end.

    For libraries that work in threads of their own: KeyboardInterrupt in the middle of
    their calls leaves those threads to fail aloud, or to be waited for without end.
    Signals reach the main thread only; in any other one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = []
    before = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


class Interrupts:
    """Ctrl-C while it is listened to: asked for at once, answered where work is whole.

    An exception that a signal raises is lost where Python calls back from within a library (JAX's
    hook of the garbage collector): a run would go on as if nobody had asked.  So the first Ctrl-C
    is only noted, and `check` raises; a second one does not wait.  Nothing is ever noted in a
    thread other than the main one, which no signal reaches, and where whoever began the process
    had it ignore Ctrl-C.
    """

    def __init__(self):
        self._asked = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside of it `check` tells of Ctrl-C."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _note(self, *_) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if somebody asked for it."""
        if self._asked:
            raise KeyboardInterrupt
