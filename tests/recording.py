"""A small recording without a fault: a point that is pushed towards the middle of a box."""

import numpy as np

LENGTHS = tuple(range(51, 65))


def record(lengths=LENGTHS, seed=0):
    """Columns by D4RL key, of the sizes of hopper: episodes end in a terminal or a timeout."""
    generator = np.random.default_rng(seed)
    parts = [_episode(n, generator) for n in lengths]
    arrays = {key: np.concatenate([x[key] for x in parts]) for key in parts[0]}
    last = np.cumsum(lengths) - 1
    for key, rows in (("terminals", last[::2]), ("timeouts", last[1::2])):
        arrays[key] = np.isin(np.arange(sum(lengths)), rows)
    return arrays


def _episode(length, generator):
    state = np.append(generator.uniform(-1, 1, 3), generator.normal(0, 0.1, 3))
    rows = {"observations": [], "actions": [], "rewards": [], "next_observations": []}
    for _ in range(length):
        noise = generator.normal(0, 0.4, 3)
        action = np.clip(-0.6 * state[:3] - 0.3 * state[3:] + noise, -1, 1)
        speed = 0.95 * state[3:] + 0.2 * action
        following = np.append(state[:3] + 0.1 * speed, speed)
        rows["observations"].append(_seen(state))
        rows["actions"].append(action)
        rows["rewards"].append(1 + speed[0] - 0.1 * action @ action)
        rows["next_observations"].append(_seen(following))
        state = following
    return {key: np.array(x, np.float32) for key, x in rows.items()}


def _seen(state):
    return np.concatenate([state, np.sin(3 * state[:3]), np.cos(2 * state[:2])])
