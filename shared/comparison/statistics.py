"""Averages over seeds and tasks, and how sure of them a few seeds make us.

The estimators of Agarwal et al. (2021), "Deep Reinforcement Learning at the
Edge of the Statistical Precipice", in numpy: mean, interquartile mean,
stratified bootstrap intervals, probability of improvement and performance
profiles.  Tasks are stacked as a sequence with one array per task, whose last
axis runs over the seeds; tasks may have different numbers of seeds.  A matrix
(tasks, seeds) is such a sequence too.  Leading axes of a task, where a
function allows them, are bootstrap repetitions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Tasks = Sequence[np.ndarray] | np.ndarray
Statistic = np.ndarray | np.floating
"""A number, or an array with one number per repetition."""


class Interval(NamedTuple):
    """The two ends of a confidence interval, numbers or arrays of one shape."""

    low: Any
    high: Any


class PairedDifference(NamedTuple):
    """Mean of first minus second, with its interval (None for a single pair)."""

    mean: float
    interval: Interval | None


def as_tasks(scores: Tasks) -> list[np.ndarray]:
    """Return `scores` as a list of float64 arrays, one per task.

    Raises:
        ValueError: if there is no task, a task without a seed, or a value
            that is not finite.
    """
    tasks = [np.asarray(task, np.float64) for task in scores]
    if not tasks:
        raise ValueError("statistics need at least one task.")
    for task in tasks:
        if task.ndim == 0 or task.shape[-1] == 0 or not np.isfinite(task).all():
            raise ValueError("statistics need one or more finite scores per task.")
    return tasks


def mean(scores: Tasks) -> Statistic:
    """Mean over tasks of each task's mean over seeds; leading axes are kept."""
    return np.mean([task.mean(-1) for task in as_tasks(scores)], axis=0)


def interquartile_mean(scores: Tasks) -> Statistic:
    """Mean of the middle half of all scores of all tasks; leading axes are kept.

    A quarter of the n pooled scores, rounded down, is dropped at each end, so
    with fewer than four scores it is the plain mean.
    """
    pooled = np.sort(np.concatenate(as_tasks(scores), axis=-1), axis=-1)
    cut = pooled.shape[-1] // 4
    return pooled[..., cut : pooled.shape[-1] - cut].mean(-1)


def probability_of_improvement(first: Tasks, second: Tasks) -> Statistic:
    """P(a run of `first` beats a run of `second`), averaged over tasks; a tie is half a win."""
    wins = []
    for x, y in zip(as_tasks(first), as_tasks(second), strict=True):
        x, y = x[..., :, None], y[..., None, :]
        wins.append((x > y).mean((-2, -1)) + 0.5 * (x == y).mean((-2, -1)))
    return np.mean(wins, axis=0)


def performance_profile(scores: Tasks, thresholds: np.ndarray) -> np.ndarray:
    """Share of runs that score above each threshold, averaged over tasks.

    Args:
        scores: tasks of shape (..., seeds).
        thresholds: scores, shape (k,).

    Returns:
        Shares in [0, 1], shape (..., k).
    """
    tasks = as_tasks(scores)
    shares = [np.mean([(task > t).mean(-1) for task in tasks], axis=0) for t in thresholds]
    return np.stack(shares, axis=-1)


def bootstrap_interval(
    statistic: Callable[..., Statistic],
    *groups: Tasks,
    repetitions: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of `statistic(*groups)` by stratified bootstrap.

    Seeds are drawn with replacement within each task, tasks are kept (one task
    gives the plain bootstrap over seeds), and each group is drawn on its own.
    With two or three seeds this is the range of what was seen; it says nothing
    about seeds that were not run.

    Args:
        statistic: one of this module's, given tasks of shape (repetitions, seeds).
        *groups: scores, tasks of shape (seeds,).
        repetitions: number of resamples.
        confidence: coverage, in (0, 1).
        seed: of the resampling; equal calls give equal intervals.

    Returns:
        The interval, or None where any task has a single seed: one run does not
        show how much runs differ.
    """
    stacks = [as_tasks(group) for group in groups]
    if any(len(task) < 2 for tasks in stacks for task in tasks):
        return None
    rng = np.random.default_rng(seed)
    drawn = [
        [task[rng.integers(len(task), size=(repetitions, len(task)))] for task in tasks]
        for tasks in stacks
    ]
    return percentile_interval(statistic(*drawn), confidence)


def percentile_interval(values: Statistic, confidence: float = 0.95) -> Interval:
    """The middle share `confidence` of bootstrapped values, shape (repetitions, ...)."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, (tail, 1.0 - tail), axis=0)
    return Interval(low, high)


def paired_difference(first: Tasks, second: Tasks, *, seed: int = 0) -> PairedDifference:
    """Mean over tasks of first minus second, paired seed by seed.

    Args:
        first: tasks of shape (seeds,), the same seeds in the same order as `second`.
        second: tasks of shape (seeds,).
        seed: of the resampling of pairs.

    Raises:
        ValueError: if the two differ in tasks or in seeds.
    """
    differences = []
    for x, y in zip(as_tasks(first), as_tasks(second), strict=True):
        if x.shape != y.shape:
            raise ValueError(f"a paired difference needs equal seeds, not {x.shape} and {y.shape}.")
        differences.append(x - y)
    return PairedDifference(
        float(mean(differences)), bootstrap_interval(mean, differences, seed=seed)
    )
