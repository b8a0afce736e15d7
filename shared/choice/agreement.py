"""How well a criterion chooses, once a simulator tells the truth: rank correlation and regret."""

import numpy as np
from jaxtyping import Float


def rank_correlation(
    criterion: Float[np.ndarray, "policies"], truth: Float[np.ndarray, "policies"]
) -> float:
    """Spearman's: the correlation of the ranks, those of ties averaged; NaN if one is constant."""
    first, second = _ranks(criterion), _ranks(truth)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def regret(
    criterion: Float[np.ndarray, "policies"], truth: Float[np.ndarray, "policies"], k: int
) -> float:
    """What is lost by playing only the k best by the criterion: best of all less best of these.

    Of equal ones those that come first are played.
    """
    played = np.argsort(-np.asarray(criterion, np.float64), kind="stable")[:k]
    return float(np.max(truth) - np.max(np.asarray(truth)[played]))


def random_regret(truth: Float[np.ndarray, "policies"], k: int) -> float:
    """The regret of playing k policies drawn at random, on average.

    The r-th best of n (r from 0) is the best of k drawn in C(n - 1 - r, k - 1) of C(n, k) cases.
    """
    ordered, n = np.sort(np.asarray(truth, np.float64))[::-1], len(truth)
    k, left, expected = min(k, n), 1.0, 0.0
    for r in range(n - k + 1):
        chance = left * k / (n - r)  # is it drawn, if none that is better was?
        expected += chance * ordered[r]
        left -= chance
    return float(ordered[0] - expected)


def _ranks(values: np.ndarray) -> np.ndarray:
    found, place = np.unique(np.asarray(values, np.float64), return_inverse=True)
    counts = np.bincount(place, minlength=len(found))
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]
