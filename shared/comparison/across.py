"""Labels compared with each other over the environments that all of them share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.comparison.record import Run
from shared.comparison.rows import final_means
from shared.comparison.statistics import (
    Interval,
    bootstrap_interval,
    interquartile_mean,
    mean,
    paired_difference,
    probability_of_improvement,
)
from shared.record.schema import MODES


class Shared(NamedTuple):
    """Final scores of several labels in the environments that all of them share.

    `scores[label][k]` maps seed to score in `environments[k]`.
    """

    environments: tuple[str, ...]
    scores: dict[str, list[dict[int, float]]]

    def tasks(self, label: str) -> list[np.ndarray]:
        """One array of seeds for each environment, as `statistics` takes them."""
        return [np.array(list(task.values())) for task in self.scores[label]]


class Aggregate(NamedTuple):
    """One label over all shared environments; intervals are stratified by environment."""

    label: str
    mode: str
    environments: tuple[str, ...]
    score_mean: float
    score_interval: Interval | None
    score_iqm: float
    score_iqm_interval: Interval | None


class Pair(NamedTuple):
    """Two labels over their shared environments.

    `improvement` is the probability that a run of `first` scores higher than
    one of `second`.  `difference` is the mean score of first minus second,
    paired by seed, and None where the two were not run on the same seeds.
    """

    first: str
    second: str
    mode: str
    environments: tuple[str, ...]
    improvement: float
    improvement_interval: Interval | None
    difference: float | None
    difference_interval: Interval | None


def shared_scores(runs: Sequence[Run], mode: str) -> Shared:
    """Scores of every label of `runs` where all of them have some.

    Args:
        runs: as `record.pool` returns them.
        mode: `deterministic` or `sampled`.
    """
    found: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        scores = final_means(run, mode)
        if scores and np.isfinite(list(scores.values())).all():
            found.setdefault(run.label, {})[run.environment] = scores
    common = set.intersection(*map(set, found.values())) if found else set()
    environments = tuple(sorted(common))
    return Shared(
        environments, {label: [tasks[e] for e in environments] for label, tasks in found.items()}
    )


def make_aggregates(runs: Sequence[Run]) -> list[Aggregate]:
    """One row per mode and label, where at least two environments are shared by all labels."""
    aggregates = []
    for mode in MODES:
        shared = shared_scores(runs, mode)
        if len(shared.environments) < 2:
            continue
        for label in shared.scores:
            tasks = shared.tasks(label)
            aggregates.append(
                Aggregate(
                    label,
                    mode,
                    shared.environments,
                    float(mean(tasks)),
                    bootstrap_interval(mean, tasks),
                    float(interquartile_mean(tasks)),
                    bootstrap_interval(interquartile_mean, tasks),
                )
            )
    return aggregates


def make_pairs(runs: Sequence[Run]) -> list[Pair]:
    """Every two labels, in each mode, over the environments that these two share."""
    labels = list(dict.fromkeys(run.label for run in runs))
    pairs = []
    for mode in MODES:
        for k, first in enumerate(labels):
            for second in labels[k + 1 :]:
                shared = shared_scores([r for r in runs if r.label in (first, second)], mode)
                if len(shared.scores) == 2 and shared.environments:
                    pairs.append(_pair(shared, first, second, mode))
    return pairs


def _pair(shared: Shared, first: str, second: str, mode: str) -> Pair:
    x, y = shared.tasks(first), shared.tasks(second)
    seeds = [
        (list(a), list(b)) for a, b in zip(shared.scores[first], shared.scores[second], strict=True)
    ]
    difference = paired_difference(x, y) if all(a == b for a, b in seeds) else None
    return Pair(
        first,
        second,
        mode,
        shared.environments,
        float(probability_of_improvement(x, y)),
        bootstrap_interval(probability_of_improvement, x, y),
        difference.mean if difference else None,
        difference.interval if difference else None,
    )
