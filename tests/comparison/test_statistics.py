"""The estimators against rliable and against hand-made cases."""

from functools import partial

import numpy as np
import pytest

from shared.comparison.statistics import (
    bootstrap_interval,
    interquartile_mean,
    mean,
    paired_difference,
    performance_profile,
    probability_of_improvement,
)

# Three tasks of five seeds, with a tie (66.1) and an outlier (12.5).
X = np.array(
    [
        [61.2, 70.5, 66.1, 58.9, 73.4],
        [35.0, 48.2, 41.7, 39.9, 52.3],
        [88.1, 90.4, 12.5, 91.0, 86.7],
    ]
)
Y = np.array(
    [
        [55.0, 64.3, 66.1, 60.2, 50.8],
        [42.1, 44.0, 38.5, 47.7, 40.6],
        [79.9, 85.2, 83.3, 80.1, 77.5],
    ]
)
THRESHOLDS = np.array([0.0, 40.0, 50.0, 60.0, 75.0, 85.0, 95.0])

# What rliable 1.2.0 returned for these tables (arch 7.2.0, numpy 2.4.6, pandas
# 2.3.3, scipy 1.17.1, Python 3.11): 50,000 repetitions (probability of
# improvement 5,000, profile 20,000) after np.random.seed(0).
RLIABLE_MEAN = {"X": (61.06, 50.34, 67.96), "Y": (61.02, 58.9398333333, 63.0533333333)}
RLIABLE_IQM = {
    "X": (62.1111111111, 51.9111111111, 69.1777777778),
    "Y": (60.6111111111, 57.5555555556, 63.3777777778),
}
RLIABLE_ONE_TASK = {
    "mean": (66.02, 61.26, 70.78),
    "iqm": (65.9333333333, 59.6666666667, 72.4333333),
}
RLIABLE_IMPROVEMENT = (0.7, 0.4866666667, 0.8933333333)
RLIABLE_PROFILE = (
    1.0,
    0.8,
    0.6666666667,
    0.5333333333,
    0.2666666667,
    0.2666666667,
    0.0,
)
RLIABLE_PROFILE_LOW = (
    1.0,
    0.6,
    0.5333333333,
    0.3333333333,
    0.1333333333,
    0.1333333333,
    0.0,
)
RLIABLE_PROFILE_HIGH = (1.0, 1.0, 0.8, 0.6666666667, 0.3333333333, 0.3333333333, 0.0)
RLIABLE_DIFFERENCE = (0.04, -11.22, 7.8333333333)


@pytest.mark.parametrize("name, scores", [("X", X), ("Y", Y)])
@pytest.mark.parametrize(
    "statistic, expected", [(mean, RLIABLE_MEAN), (interquartile_mean, RLIABLE_IQM)]
)
def test_aggregates_agree_with_rliable(name, scores, statistic, expected):
    point, low, high = expected[name]
    assert statistic(scores) == pytest.approx(point, abs=1e-9)
    interval = bootstrap_interval(statistic, scores, repetitions=50_000)
    # Two Monte Carlo estimates of a quantile: a hundredth of the interval's width apart or less.
    assert interval.low == pytest.approx(low, abs=0.01 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.01 * (high - low))


@pytest.mark.parametrize("statistic, name", [(mean, "mean"), (interquartile_mean, "iqm")])
def test_one_task_is_the_plain_bootstrap(statistic, name):
    point, low, high = RLIABLE_ONE_TASK[name]
    interval = bootstrap_interval(statistic, X[:1], repetitions=50_000)
    assert statistic(X[:1]) == pytest.approx(point, abs=1e-9)
    assert interval == pytest.approx((low, high), abs=0.1)


def test_probability_of_improvement_agrees_with_rliable():
    point, low, high = RLIABLE_IMPROVEMENT
    assert probability_of_improvement(X, Y) == pytest.approx(point, abs=1e-12)
    interval = bootstrap_interval(probability_of_improvement, X, Y)
    assert interval == pytest.approx((low, high), abs=0.015)
    per_task = [float(probability_of_improvement(X[k : k + 1], Y[k : k + 1])) for k in range(3)]
    assert per_task == pytest.approx([0.78, 0.52, 0.8])


def test_profile_agrees_with_rliable():
    statistic = partial(performance_profile, thresholds=THRESHOLDS)
    assert statistic(X) == pytest.approx(np.array(RLIABLE_PROFILE))
    interval = bootstrap_interval(statistic, X, repetitions=20_000)
    assert interval.low == pytest.approx(np.array(RLIABLE_PROFILE_LOW))
    assert interval.high == pytest.approx(np.array(RLIABLE_PROFILE_HIGH))


def test_paired_difference_agrees_with_rliable():
    point, low, high = RLIABLE_DIFFERENCE
    difference = paired_difference(X, Y)
    assert difference.mean == pytest.approx(point, abs=1e-9)
    assert difference.interval == pytest.approx((low, high), abs=0.2)


def test_iqm_drops_a_quarter_at_each_end():
    assert interquartile_mean([np.arange(8.0)]) == pytest.approx(3.5)
    assert interquartile_mean([np.array([0.0, 1.0, 2.0, 300.0])]) == pytest.approx(1.5)
    # Three scores: nothing to drop.
    assert interquartile_mean([np.array([0.0, 1.0, 5.0])]) == pytest.approx(2.0)


def test_tasks_may_have_different_numbers_of_seeds():
    ragged = [np.array([0.0, 2.0]), np.array([10.0, 10.0, 10.0])]
    assert mean(ragged) == pytest.approx(5.5)
    interval = bootstrap_interval(mean, ragged)
    assert interval == pytest.approx((5.0, 6.0))


def test_two_seeds_give_their_range():
    assert bootstrap_interval(mean, [np.array([3.0, 7.0])]) == pytest.approx((3.0, 7.0))


def test_one_seed_gives_no_interval():
    assert bootstrap_interval(mean, [np.array([3.0])]) is None
    assert bootstrap_interval(mean, [np.array([3.0, 4.0]), np.array([3.0])]) is None
    assert paired_difference([np.array([3.0])], [np.array([1.0])]).interval is None


def test_intervals_repeat_bit_for_bit_and_follow_the_seed():
    assert bootstrap_interval(mean, X) == bootstrap_interval(mean, X)
    assert bootstrap_interval(mean, X) != bootstrap_interval(mean, X, seed=1)


def test_interval_covers_as_often_as_it_says():
    # 400 tables of 20 normal seeds; a percentile interval of 20 covers a little under 95 %.
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        low, high = bootstrap_interval(mean, rng.normal(size=(1, 20)), repetitions=500)
        covered += low <= 0.0 <= high
    assert 0.89 <= covered / 400 <= 0.97


@pytest.mark.parametrize("bad", [[], [np.array([])], [np.array([1.0, np.nan])]])
def test_bad_scores_are_refused(bad):
    with pytest.raises(ValueError, match="statistics need"):
        mean(bad)


def test_unequal_pairs_are_refused():
    with pytest.raises(ValueError, match="equal seeds"):
        paired_difference([np.zeros(2)], [np.zeros(3)])
    with pytest.raises(ValueError):
        paired_difference(X, Y[:2])
