"""What a phase sees in the place of observations: vectors that are computed once.

A frozen encoder says the same of a frame in every update.  A phase with a `view` has its
whole data set encoded before its first update (and again behind a resume: the encoder is the
same), whole episodes at a time, so that a recurrent encoder remembers all that came before.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shared.algorithm import phase_at
from shared.datasets.pages import MappedSequences
from shared.datasets.sequences import to_sequences

FRAMES = 4096
"""Encoded at a time, by whole episodes (one, if it is longer)."""


class Source(NamedTuple):
    """Where a phase draws from, as `program.run_updates` takes it.

    Attributes:
        dataset: on the device, or a `MappedSequences`; with a view, the `Places` alone.
        view: of every seed, what stands in the place of the observations.
    """

    dataset: Any
    view: Float[Array, "seeds frames n"] | None = None


def source_of(algorithm, index: int, state, dataset) -> Source:
    """The data of phase `index` as the phase sees them; `state` is of its beginning or later."""
    if phase_at(algorithm, index).view is None:
        return Source(dataset)
    whole = to_sequences(dataset)
    first, last = np.asarray(whole.places.episodes.first), np.asarray(whole.places.episodes.last)
    length = int((last - first).max()) + 1
    size = max(1, min(len(first), FRAMES // length))
    found = None
    for begin in range(0, len(first), size):
        # The last batch is filled up with the last episode: one shape, one program.
        episode = np.minimum(np.arange(begin, begin + size), len(first) - 1)
        number = first[episode][:, None] + np.arange(length)
        real, number = number <= last[episode][:, None], np.minimum(number, last[episode][:, None])
        page = whole
        if isinstance(whole, MappedSequences):
            page = whole.page(number, capacity=number.size)
        windows = jnp.asarray(first[episode]), jnp.asarray(episode, jnp.int32)
        vectors = np.asarray(_encode(algorithm, index, length, state, page, *windows))
        if found is None:
            shape = (len(vectors), int(last[-1]) + 1, vectors.shape[-1])
            found = np.zeros(shape, vectors.dtype)
        found[:, number[real]] = vectors[:, real]
    return Source(whole.places, jnp.asarray(found))


def shape_of(algorithm, index: int, state, dataset) -> Source:
    """`source_of` for tracing: of the view (and of mapped frames) only the shape is right."""
    if phase_at(algorithm, index).view is None:
        return Source(dataset.blank if isinstance(dataset, MappedSequences) else dataset)
    whole = to_sequences(dataset)
    page = whole.blank if isinstance(whole, MappedSequences) else whole
    one = jnp.zeros(1, jnp.int32)
    vectors = jax.eval_shape(partial(_encode, algorithm, index, 1), state, page, one, one)
    shape = (vectors.shape[0], len(whole.places.reward), vectors.shape[-1])
    return Source(whole.places, jax.ShapeDtypeStruct(shape, vectors.dtype))


@partial(jax.jit, static_argnames=("algorithm", "index", "length"))
def _encode(algorithm, index, length, state, dataset, start, episode):
    """The view of whole episodes, (seeds, episodes, length, n)."""
    windows = dataset.windows_at(start, episode, length)
    view = phase_at(algorithm, index).view
    assert view is not None
    return jax.vmap(lambda state: view(state, windows))(state)
