"""Estimates, intervals and profiles are those of rliable, to 1e-9, from the same resamples."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from shared.comparison.statistics import (
    interquartile_mean,
    mean,
    percentile_interval,
    performance_profile,
    probability_of_improvement,
)

REFERENCE = json.loads(Path(__file__).with_name("rliable_reference.json").read_text())
X, Y = (np.array(REFERENCE[name]) for name in "xy")
near = partial(pytest.approx, rel=0, abs=1e-9)


def drawn(*matrices):
    """rliable's resamples of (seeds, tasks): of each, tasks of shape (repetitions, seeds)."""
    generator = np.random.RandomState(REFERENCE["seed"])
    repetitions = [
        [m[generator.choice(len(m), m.shape), np.arange(m.shape[1])] for m in matrices]
        for _ in range(REFERENCE["repetitions"])
    ]
    stacks = (np.stack(each) for each in zip(*repetitions, strict=True))
    return [list(np.moveaxis(stack, -1, 0)) for stack in stacks]


@pytest.mark.parametrize(("name", "matrix"), [("x", X), ("y", Y)])
@pytest.mark.parametrize(("kind", "statistic"), [("mean", mean), ("iqm", interquartile_mean)])
def test_averages_and_their_intervals(name, matrix, kind, statistic):
    point, low, high = REFERENCE[f"{kind}_{name}"]
    assert statistic(matrix.T) == near(point)
    assert percentile_interval(statistic(*drawn(matrix))) == near((low, high))
    assert low < point < high


def test_probability_of_improvement():
    point, low, high = REFERENCE["improvement"]
    assert probability_of_improvement(X.T, Y.T) == near(point)
    assert percentile_interval(probability_of_improvement(*drawn(X, Y))) == near((low, high))


def test_performance_profile():
    profile = partial(performance_profile, thresholds=np.array(REFERENCE["thresholds"]))
    point, low, high = map(np.array, REFERENCE["profile"])
    assert profile(X.T) == near(point)
    interval = percentile_interval(profile(*drawn(X)))
    assert interval.low == near(low) and interval.high == near(high)
    assert (low < high).any()
