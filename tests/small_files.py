"""Small real HDF5 files in D4RL's form."""

import numpy as np


def make_arrays(rows=60, seed=0, with_next=True):
    """Three episodes of 20 rows: the first ends in a terminal, the others at a timeout."""
    generator = np.random.default_rng(seed)
    observation = generator.normal(size=(rows, 3)).astype(np.float32)
    arrays = {
        "observations": observation,
        "actions": generator.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "rewards": generator.normal(size=rows).astype(np.float32),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.zeros(rows, bool),
    }
    arrays["terminals"][19] = True
    arrays["timeouts"][[39, 59]] = True
    if with_next:
        ends = arrays["terminals"] | arrays["timeouts"]
        following = np.roll(observation, -1, axis=0)
        following[ends] = generator.normal(size=(ends.sum(), 3))
        arrays["next_observations"] = following
    return arrays
