"""The ranking, its interval and what it warns of; how well a criterion chooses."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from shared.choice.agreement import random_regret, rank_correlation, regret
from shared.choice.estimate import summarize
from shared.choice.judge import Verdict
from shared.choice.ranking import ranking, warnings


def verdict(label, value, spread, **more):
    """A policy whose members and starts differ by `spread`, in a way of its own."""
    rng = np.random.default_rng(sum(map(ord, label)))
    estimate = summarize(value + spread * rng.normal(size=(4, 30)))
    plain = {"unseen": True, "action_error": 0.1, "log_prob": None, "q": None, "q_data": None}
    plain |= {"q_excess": None, "actions_beyond": 0.01, "actions_distance": 0.1}
    plain |= {"states_beyond": 0.02, "return_": (value, value - 1, value + 1), "score": None}
    return Verdict(label=label, run=label, seed=0, estimate=estimate, **plain | more)


def test_the_first_place_is_the_surely_better_policy():
    places = ranking([verdict("low", 1.0, 0.1), verdict("high", 5.0, 0.1)])
    assert [place.verdict.label for place in places] == ["high", "low"]
    assert places[0].is_first == 1.0 and places[1].is_first == 0.0
    assert warnings(places, best_return=10.0) == []


def test_of_two_with_one_value_the_surer_one_is_first_and_the_doubt_is_told():
    places = ranking([verdict("wild", 3.0, 20.0), verdict("calm", 3.0, 0.1)])
    assert [place.verdict.label for place in places] == ["calm", "wild"]
    assert places[1].interval == (1, 2)
    told = warnings(places, best_return=10.0)
    assert told == ["by its value the data do not tell calm from wild"]


def test_what_speaks_against_the_first_is_told():
    far = verdict("far", 9.0, 0.1, states_beyond=0.8, action_error=0.9, unseen=False)
    places = ranking([far, verdict("a", 1.0, 0.1), verdict("b", 2.0, 0.1)])
    told = warnings(places, best_return=5.0)
    assert told[0] == (
        "the criteria disagree about far: more than half of the others are better by action error "
        "and states beyond"
    )
    starts = ("far leaves the data: 80% of", "far is believed to return 9, more than any")
    assert told[1].startswith(starts[0]) and told[2].startswith(starts[1])
    assert told[3].startswith("far learned from the very episodes that judge") and len(told) == 4


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    truth, criterion = rng.normal(size=9), rng.integers(0, 4, size=9).astype(float)  # with ties
    expected = spearmanr(criterion, truth).statistic
    assert rank_correlation(criterion, truth) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(rank_correlation(np.ones(9), truth))


def test_regret_is_what_the_best_of_those_played_lacks():
    truth, criterion = np.array([1.0, 5.0, 3.0, 4.0]), np.array([9.0, 1.0, 8.0, 7.0])
    assert [regret(criterion, truth, k) for k in (1, 2, 3, 4)] == [4.0, 2.0, 1.0, 0.0]
    for k in (1, 2, 3, 4):
        every = [5.0 - max(some) for some in itertools.combinations(truth, k)]
        assert random_regret(truth, k) == pytest.approx(np.mean(every))
