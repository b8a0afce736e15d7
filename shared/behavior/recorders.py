"""Processes that record side by side, and end as soon as whoever started them has no use for them.

Ctrl-C goes to a terminal's whole group of processes.  A recorder that it hits while it imports,
or while it holds the lock of a queue, prints a traceback or leaves the others waiting for ever; so
none of them hears it, and the one that started them ends them.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Event


@contextmanager
def recorders(
    workers: int, prepare: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; what they still do when the block is left by an exception is dropped.

    Arguments:
        workers: processes.
        prepare: called in each of them first.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = _Deaf(workers, context, initializer=_begin, initargs=(stop, prepare))
    try:
        yield pool
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Deaf(ProcessPoolExecutor):
    """Its processes, which it starts as work comes in, inherit that SIGINT is blocked."""

    def submit(self, fn, /, *args, **kwargs):
        if not hasattr(signal, "pthread_sigmask"):
            return super().submit(fn, *args, **kwargs)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(stop: Event, prepare: Callable[[], None] | None) -> None:
    """In a new recorder: it ends when it is told to, and when its parent was killed."""

    def end_when(wait: Callable[[], object]) -> None:
        wait()
        os._exit(1)

    parent = multiprocessing.parent_process()
    for wait in (stop.wait, *([] if parent is None else [parent.join])):
        threading.Thread(target=end_when, args=(wait,), daemon=True).start()
    if prepare is not None:
        prepare()
