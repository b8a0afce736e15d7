"""The ring buffer of rows that a simulator showed or a model imagined."""

import jax
import jax.numpy as jnp
import numpy as np

from shared.datasets.replay import RingBuffer
from shared.types import Transition


def test_the_ring_keeps_the_newest_rows_in_order():
    rng, ring, expected = np.random.default_rng(0), RingBuffer.empty(7, 2, 1), []
    assert int(ring.size) == 0
    for number in range(6):
        valid = rng.random(5) < 0.6
        value = 10.0 * number + np.arange(5, dtype=np.float32)
        rows = Transition(
            np.stack([value, -value], 1),
            value[:, None],
            value,
            value % 2 == 0,
            value[:, None] + [[1, 2]],
        )
        rows = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float32 if x.dtype != bool else bool), rows
        )
        ring = ring.append(rows, jnp.asarray(valid))
        expected = (expected + list(value[valid]))[-7:]
        size, place = int(ring.size), int(ring.place)
        kept = np.asarray(ring.rows.reward)[:size]
        ordered = np.roll(kept, -place) if size == 7 else kept
        assert list(ordered) == expected
    np.testing.assert_array_equal(ring.rows.observation[:, 1], -ring.rows.reward)
    np.testing.assert_array_equal(ring.rows.terminal, ring.rows.reward % 2 == 0)
    drawn = ring.draw(200, key=jax.random.key(0))
    assert set(np.asarray(drawn.reward)) == set(expected)


def test_rows_are_all_kept_where_none_is_void():
    ones = jnp.ones((3, 1))
    rows = Transition(ones, ones, jnp.arange(3.0), jnp.zeros(3, bool), ones)
    ring = RingBuffer.empty(4, 1, 1).append(rows).append(rows)
    assert list(np.asarray(ring.rows.reward)) == [1, 2, 2, 0]
    assert (int(ring.size), int(ring.place)) == (4, 2)


def test_nothing_not_written_yet_is_drawn():
    row = Transition(jnp.ones((2, 1)), jnp.ones((2, 1)), jnp.ones(2), jnp.ones(2, bool), None)
    row = row._replace(next_observation=jnp.ones((2, 1)))
    ring = RingBuffer.empty(50, 1, 1).append(row, jnp.asarray([True, False]))
    assert (ring.draw(20, key=jax.random.key(0)).reward == 1).all()
