"""How far the states that a policy meets lie from its data, and how usual that is.

For every state met in the simulator: the Euclidean distance to the nearest of up to
`KNOWN` recorded observations of the training episodes, in standard deviations of the data.
Beside it the same for observations of the held-out episodes, which tell what is usual.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shared.datasets.rows import held_out
from shared.errors import RunError
from shared.models.networks import Normalizer
from shared.runs.q_errors import play
from shared.runs.trained import load_state

KNOWN, JUDGED = 20_000, 2_000
"""Recorded observations looked through, and states judged, at most."""
BLOCK = 100


def state_distances(path: str | Path, data, *, episodes: int = 10) -> list[dict[str, Any]]:
    """The distances of a run's last checkpoint, deterministic policy, one row a seed.

    Arguments:
        path: run folder.
        data: the run's `RowData`.
        episodes: of each seed.

    Returns:
        Rows of `seed, states, median, p99, data_median, data_p99, beyond`; the last is the
        share of states farther away than 99 % of the held-out observations.

    Raises:
        RunError: the run's observations are no vectors, or it held no episode out.
    """
    plan, record, algorithm, state, position = load_state(Path(path))
    if data.transitions.observation.ndim != 2:
        raise RunError(f"{path}: distances are known of observation vectors, not of images.")
    known, own = recorded(data, plan.settings.validation_fraction)
    if not len(own):
        raise RunError(f"{path}: held no episode out, so that nothing tells what is usual.")
    usual = nearest(own, known)
    rollouts = play(
        algorithm,
        state,
        record["environment"],
        seeds=plan.seeds,
        step=position["global_step"],
        episodes=episodes,
    )
    rows = []
    for seed, played in zip(plan.seeds, rollouts, strict=True):
        met = spread(np.concatenate([rollout.observation for rollout in played]), JUDGED)
        distance = nearest(met / scale_of(data), known)
        rows.append({"seed": seed, "states": len(met)} | compare(distance, usual))
    return rows


def scale_of(data) -> np.ndarray:
    """Unit of every observation dimension: its standard deviation in the data."""
    return np.asarray(Normalizer.of(data.spec).scale)


def recorded(data, validation_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Observations in standard deviations: of the training and of the held-out episodes."""
    held = held_out(np.unique(data.episode), validation_fraction, seed=0)
    is_held, observation = np.isin(data.episode, held), data.transitions.observation
    observation = observation / scale_of(data)
    return spread(observation[~is_held], KNOWN), spread(observation[is_held], JUDGED)


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def compare(met: Float[np.ndarray, "n"], usual: Float[np.ndarray, "m"]) -> dict[str, float]:
    """Median and 99th percentile of both, and the share of `met` beyond the latter's."""
    edge = float(np.quantile(usual, 0.99))
    return {
        "median": float(np.median(met)),
        "p99": float(np.quantile(met, 0.99)),
        "data_median": float(np.median(usual)),
        "data_p99": edge,
        "beyond": float(np.mean(met > edge)),
    }


def nearest(
    points: Float[np.ndarray, "n size"], known: Float[np.ndarray, "m size"]
) -> Float[np.ndarray, "n"]:
    """Distance of every point to the nearest known one."""
    points, known = np.asarray(points, np.float64), np.asarray(known, np.float64)
    norm, found = np.sum(known**2, axis=1), []
    for first in range(0, len(points), BLOCK):
        block = points[first : first + BLOCK]
        squared = np.sum(block**2, axis=1)[:, None] + norm - 2 * block @ known.T
        found.append(np.sqrt(np.maximum(squared.min(axis=1), 0.0)))
    return np.concatenate(found)
