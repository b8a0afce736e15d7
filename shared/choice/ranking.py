"""Which candidate to take, how sure that is, and what speaks against it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from shared.choice.estimate import TAILS
from shared.choice.judge import Verdict

SURE = 0.95
"""Share of the bootstrap's draws in which the first must beat another to be called better."""
FAR = 0.5
"""A policy that leaves the data in more than this share of its states lives on guesses."""


def _value(verdict: Verdict) -> float | None:
    return None if verdict.estimate is None else verdict.estimate.value


def _sure_value(verdict: Verdict) -> float | None:
    return None if verdict.estimate is None else verdict.estimate.interval[0]


CRITERIA: dict[str, tuple[Callable[[Verdict], float | None], int]] = {
    "FQE": (_value, 1),
    "FQE, lower end": (_sure_value, 1),
    "own Q": (lambda v: v.q_excess, 1),
    "action error": (lambda v: v.action_error, -1),
    "likelihood": (lambda v: v.log_prob, 1),
    "actions beyond": (lambda v: v.actions_beyond, -1),
    "states beyond": (lambda v: v.states_beyond, -1),
}
"""Name -> number of a verdict, and 1 where more of it is better, -1 where less is."""
CHOSEN = "FQE, lower end"
"""The criterion that ranks; docs/results/choosing.md says how well."""


class Place(NamedTuple):
    """One candidate in the ranking.

    Attributes:
        verdict: everything that is known of it.
        rank: 1 is the best.
        interval: 95 % of the ranks by value that it has in the draws of the bootstrap.
        is_first: share of the draws in which none is worth more.
    """

    verdict: Verdict
    rank: int
    interval: tuple[int, int]
    is_first: float


def ranking(verdicts: Sequence[Verdict], by: str = CHOSEN) -> list[Place]:
    """The candidates, the best first; what the criterion cannot tell comes last."""
    number, sign = CRITERIA[by]
    keys = [number(v) for v in verdicts]
    order = sorted(range(len(keys)), key=lambda i: _key(keys[i], sign))
    ranks = ranks_in_draws(verdicts)
    low, high = np.quantile(ranks, TAILS, axis=0, method="nearest").astype(int)
    first = (ranks == 1).mean(axis=0)
    return [
        Place(verdicts[i], place, (int(low[i]), int(high[i])), float(first[i]))
        for place, i in enumerate(order, start=1)
    ]


def ranks_in_draws(verdicts: Sequence[Verdict]) -> np.ndarray:
    """Rank by value of every candidate in every draw of the bootstrap, (draws, candidates)."""
    draws = [v.estimate.draws for v in verdicts if v.estimate is not None]
    if len(draws) < len(verdicts):
        return np.tile(np.arange(1, len(verdicts) + 1), (1, 1))
    values = np.stack(draws, axis=1)
    return 1 + (values[:, None, :] > values[:, :, None]).sum(axis=2)


def warnings(places: Sequence[Place], best_return: float) -> list[str]:
    """What to know before the first one is taken, a sentence each."""
    first, told = places[0].verdict, []
    told += _overlap(places)
    told += _disagreement(places)
    if first.states_beyond > FAR:
        told.append(
            f"{first.label} leaves the data: {first.states_beyond:.0%} of the states that it would "
            "reach lie farther out than 99 % of the recorded ones, and what it is worth there is "
            "a guess"
        )
    if first.return_ is not None and first.return_[0] > best_return:
        told.append(
            f"{first.label} is believed to return {first.return_[0]:,.0f}, more than any recorded "
            f"episode did ({best_return:,.0f}): do not trust that number"
        )
    seen = [place.verdict.label for place in places if not place.verdict.unseen]
    if seen:
        told.append(
            f"{_some(seen)} learned from the very episodes that judge: the action error is too "
            "low; train with --set held_out_episodes=0.1 to know it"
        )
    return told


def _overlap(places: Sequence[Place]) -> list[str]:
    """The candidates that the first one is not clearly better than."""
    first, *others = (place.verdict for place in places)
    close = []
    for other in others:
        if first.estimate is None or other.estimate is None:
            return ["without fitted Q evaluation nothing says how sure the ranking is"]
        if np.mean(first.estimate.draws > other.estimate.draws) < SURE:
            close.append(other.label)
    if not close:
        return []
    return [f"by its value the data do not tell {first.label} from {_some(close)}"]


def _disagreement(places: Sequence[Place]) -> list[str]:
    """Criteria by which the first is in the worse half."""
    verdicts, against = [place.verdict for place in places], []
    if len(verdicts) < 3:
        return []
    for name, (number, sign) in CRITERIA.items():
        known = [x for x in map(number, verdicts) if x is not None]
        own = number(verdicts[0])
        if own is not None and len(known) > 2 and sign * own < sign * float(np.median(known)):
            against.append(name)
    if not against:
        return []
    better = f"more than half of the others are better by {_some(against)}"
    return [f"the criteria disagree about {verdicts[0].label}: {better}"]


def _key(number: float | None, sign: int) -> tuple[bool, float]:
    if number is None or not np.isfinite(number):
        return True, 0.0
    return False, -sign * number


def _some(labels: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and 3 more`."""
    if len(labels) > 3:
        return f"{', '.join(labels[:2])} and {len(labels) - 2} more"
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if labels[1:] else labels)
