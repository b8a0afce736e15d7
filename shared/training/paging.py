"""Which part of the data every compiled call is given: all of it, or a page of frames on the host.

Keys are folded from the step, so the frames of a call are known before it runs: they are read
and put on the device while the device works on the call before.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.datasets import frame_store
from shared.datasets.pages import MappedSequences, frames_asked, prefetch
from shared.errors import DataError
from shared.training import program

PAGE_BYTES = 256 << 20
"""Of the frames of one call at most, unless a single update needs more."""
PAGES = 3
"""At most on the device at a time: in use, at hand, and on its way."""


class Call(NamedTuple):
    """Updates of one compiled call; the first and the last two are arguments of `run_updates`.

    Attributes:
        dataset: holds what is drawn.
        first: step of the first update.
        count: of updates.
        capacity: of the program.
    """

    dataset: Any
    first: int
    count: int
    capacity: int


def calls(
    algorithm, index: int, dataset, keys, stretches: Iterable[tuple[int, int]], capacity: int
) -> Iterator[Call]:
    """The calls that make up stretches of phase `index`, with the data of each, in order.

    Arguments:
        algorithm: its phase draws.
        index: of the phase.
        dataset: on the device, or a `MappedSequences`.
        keys: of the seeds.
        stretches: first step of each, and the one behind its last; one call is never of two.
        capacity: most updates in a call.

    Raises:
        DataError: a single update needs more frames than the device has room for.
    """
    if not isinstance(dataset, MappedSequences):
        for first, stop in stretches:
            yield Call(dataset, first, stop - first, capacity)
        return
    asked = partial(_frames_of_updates, algorithm, index)
    one = jax.eval_shape(partial(asked, 1), dataset.blank, keys, 0).size
    updates = min(capacity, updates_in_page(dataset, one))

    def plan():  # on the caller's thread, hence on the device before the call that comes first
        for first, stop in stretches:
            for step in range(first, stop, updates):
                yield step, min(updates, stop - step), asked(updates, dataset.blank, keys, step)

    def fetch(item):
        step, count, number = item
        page = dataset.page(np.asarray(number)[:count], capacity=updates * one)
        return Call(page, step, count, updates)

    yield from prefetch(fetch, plan(), 1)


def run_calls(algorithm, index: int, state, calls: Iterator[Call], keys, stop: int, **shown):
    """The state after the next of the `calls` up to step `stop`, and the metrics of their updates.

    Metrics are name -> (updates, seeds), on the host.  `shown` as of `program.run_updates`.
    """
    histories, step = [], None
    while step != stop:
        data, first, count, capacity = next(calls)
        state, history = program.run_updates(
            algorithm, index, capacity, state, data, keys, first, count, **shown
        )
        histories.append({name: x[:count] for name, x in jax.device_get(history).items()})
        step = first + count
    return state, {name: np.concatenate([x[name] for x in histories]) for name in histories[0]}


def data_of_event(algorithm, index: int, kind: int, state, dataset, keys, step: int):
    """The data that `program.run_event` needs with these arguments."""
    if not isinstance(dataset, MappedSequences):
        return dataset
    number = np.asarray(_frames_of_event(algorithm, index, kind, state, dataset.blank, keys, step))
    updates_in_page(dataset, number.size)
    return dataset.page(number, capacity=number.size)


def updates_in_page(dataset: MappedSequences, frames: int) -> int:
    """How many draws of so many frames fill a page, at least one.

    Raises:
        DataError: the device has no room for one.
    """
    size = frames * dataset.frame_bytes
    room = frame_store.SHARE * frame_store.device_memory() / PAGES
    if size > room:
        raise DataError(
            f"a single update needs {size / 2**30:.1f} GiB of frames, too many for the device "
            "beside a model; lower the batch size, 'window' or 'validation_windows' with --set."
        )
    return max(1, int(min(PAGE_BYTES, room) // max(size, 1)))


@partial(jax.jit, static_argnames=("algorithm", "index", "updates"))
def _frames_of_updates(algorithm, index, updates, blank, keys, first):
    """Numbers of the frames that updates draw, (updates, seeds, frames)."""
    phase = program.phase_at(algorithm, index)

    def one(key, step):
        k_draw, _ = program.update_keys(key, index, step)
        return frames_asked(partial(phase.draw, key=k_draw), blank)

    steps = first + jnp.arange(updates)
    return jax.vmap(lambda step: jax.vmap(one, in_axes=(0, None))(keys, step))(steps)


@partial(jax.jit, static_argnames=("algorithm", "index", "kind"))
def _frames_of_event(algorithm, index, kind, state, blank, keys, step):
    """Numbers of the frames that an event looks up, (seeds, frames)."""
    function = program.event_at(algorithm, index, kind)

    def one(state, key):
        key = program.step_key(key, index, step, kind)
        return frames_asked(lambda dataset: function(state, dataset, key=key), blank)

    return jax.vmap(one)(state, keys)
