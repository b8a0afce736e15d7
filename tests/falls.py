"""A robot in no table: a point with drag that falls where it is too far from the origin."""

import numpy as np

LIMIT = 1.5


def make_falls(episodes=40, length=60, seed=0):
    """Columns of a data set in D4RL's form: position and velocity, one force; some episodes fall.

    An episode ends with a terminal where |position| passes `LIMIT`, else at a timeout.
    """
    generator, rows = np.random.default_rng(seed), []
    for _ in range(episodes):
        state = np.append(generator.normal(), 0.0)
        for t in range(length):
            force = np.clip(0.8 * generator.normal() - 0.2 * state[0], -1, 1)
            velocity = state[1] + 0.2 * (2 * force - state[1])
            after = np.array([state[0] + 0.3 * velocity, velocity])
            fallen = abs(after[0]) > LIMIT
            rows.append((state, [force], -abs(after[0]), fallen, t == length - 1, after))
            state = after
            if fallen:
                break
    keys = "observations", "actions", "rewards", "terminals", "timeouts", "next_observations"
    columns = {key: np.array(x) for key, x in zip(keys, zip(*rows, strict=True), strict=True)}
    columns["timeouts"] &= ~columns["terminals"]
    return {k: x if x.dtype == bool else x.astype(np.float32) for k, x in columns.items()}
