"""Distances from the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clap.diagnostics import judge_distance


def test_distances_are_measured_in_units_of_the_data():
    """Points three times as far from known ones as the data's own, and points among them."""
    generator = np.random.default_rng(0)
    known = 100.0 * np.arange(50)[:, None] * [1.0, 1.0, 0.0]
    direction = generator.normal(size=(50, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    step = generator.uniform(0.5, 1.5, (50, 1)) * direction
    judge = jax.jit(judge_distance)
    arrays = [jnp.asarray(x, jnp.float32) for x in (known + 3 * step, known + step, known)]
    found = judge(*arrays)
    assert found["distance_median"] == pytest.approx(3, rel=1e-3)
    assert found["distance_p99"] == pytest.approx(3, rel=1e-3)
    beyond = 3 * np.linalg.norm(step, axis=1) > np.quantile(np.linalg.norm(step, axis=1), 0.99)
    assert found["distance_beyond"] == pytest.approx(beyond.mean())
    assert judge(arrays[2], *arrays[1:])["distance_beyond"] == 0
