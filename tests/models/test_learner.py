"""One step down a loss."""

import jax.numpy as jnp
import numpy as np
import pytest

from shared.models.learner import Learner, clipped_adam, descend


@pytest.mark.parametrize("steps", [None, 4])
def test_step_sizes_fall_to_zero_along_a_cosine(steps):
    optimizer = clipped_adam(100.0, 0.1, steps)
    learner, reached = Learner.create(jnp.zeros(()), optimizer), [0.0]
    for _ in range(5):
        learner, _ = descend(learner, optimizer, lambda parameter: (-parameter, {}))
        reached.append(float(learner.model))
    share = 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4)) if steps else np.ones(5)
    np.testing.assert_allclose(np.diff(reached), 0.1 * share, atol=1e-5)
