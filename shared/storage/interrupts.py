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
