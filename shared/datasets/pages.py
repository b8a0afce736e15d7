"""Frames that stay on the host, of which the device is shown a page: those a program asks for.

What a compiled function will look up is found out by running it on a data set that only
notes the numbers (`frames_asked`): they follow from keys, never from pictures.  Just these
frames are then read from the map and put on the device, ahead of need (`prefetch`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from shared.datasets.sequences import Places, SequenceDataset
from shared.datasets.windows import EpisodeWindow


class PagedSequences(SequenceDataset):
    """Some of the frames on the device, in the order of `slot`.

    Attributes:
        slot: place in `observation` of every frame number; means nothing where it is not there.
    """

    slot: Int[Array, "frames"]

    def observations_at(self, number):
        return self.observation[self.slot[number]]


class NotedSequences(SequenceDataset):
    """Notes which frames are looked up, and shows blank ones.

    Attributes:
        observation: one blank frame.
        noted: the numbers so far.  Static, so that those of a further `jit` within are not lost:
            JAX refuses them as leaked tracers.
    """

    noted: list[Int[Array, "some"]] = eqx.field(static=True, default_factory=list)

    def observations_at(self, number):
        self.noted.append(jnp.ravel(number))
        return jnp.broadcast_to(self.observation[0], (*number.shape, *self.observation.shape[1:]))


def frames_asked(function: Callable, blank: SequenceDataset) -> Int[Array, "asked"]:
    """Numbers of the frames that `function(dataset)` looks up, in order and with repeats.

    Arguments:
        function: asks for frames itself, not within a further `vmap`, `scan` or `cond` of its own.
        blank: `MappedSequences.blank`.
    """
    dataset = NotedSequences(blank.observation, blank.places)
    function(dataset)
    return jnp.concatenate([jnp.zeros(0, jnp.int32), *dataset.noted])


class MappedSequences:
    """Frames that stay in a mapped file or in the host's memory.

    Attributes:
        image: all frames, NumPy.
        places: actions, rewards, and where windows may lie; on the device.
    """

    def __init__(self, image: np.ndarray, places: Places):
        self.image, self.places = image, places

    @property
    def blank(self) -> SequenceDataset:
        """One blank frame and all places: enough to trace what a program does."""
        return SequenceDataset(jnp.zeros((1, *self.image.shape[1:]), self.image.dtype), self.places)

    @property
    def frame_bytes(self) -> int:
        """Of one frame."""
        return self.image[:1].nbytes

    def page(self, number: np.ndarray, *, capacity: int) -> PagedSequences:
        """These frames on the device.

        Arguments:
            number: of at most `capacity` different frames, integers of any shape.
            capacity: frames there is room for: one capacity, one compiled program.
        """
        wanted, slot = np.unique(number), np.zeros(len(self.image), np.int32)
        slot[wanted] = np.arange(len(wanted))
        page = np.zeros((max(capacity, 1), *self.image.shape[1:]), self.image.dtype)
        # 'clip' writes where it shall; 'raise' would make a copy first.
        np.take(self.image, wanted, axis=0, out=page[: len(wanted)], mode="clip")
        return PagedSequences(jnp.asarray(page), self.places, jnp.asarray(slot))

    def draw_validation_windows(
        self, batch_size: int, length: int, *, key: PRNGKeyArray
    ) -> EpisodeWindow:
        """As of `SequenceDataset`."""
        draw = partial(
            SequenceDataset.draw_validation_windows, batch_size=batch_size, length=length, key=key
        )
        asked = np.asarray(frames_asked(draw, self.blank))
        return draw(self.page(asked, capacity=asked.size))


def prefetch(fetch: Callable, items: Iterable, ahead: int) -> Iterator:
    """`fetch(item)` of every item in order; a thread works `ahead` of the consumer."""
    pending: deque[Future] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        for item in items:
            pending.append(pool.submit(fetch, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
