"""Whether last policies hold what their earlier evaluations showed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.comparison.exports import markdown_table
from shared.comparison.record import Run

ENOUGH = 3
"""Evaluations without which nothing can be said of how a policy holds."""
CAPTION = (
    "Score of the last evaluation divided by that of the seed's best one, a mean over seeds; then "
    "the points that are lost from one evaluation to the next, on average (gains count as 0). "
    "Deterministic policies. An evaluation is a few episodes, so that a best one is partly luck."
)


class Lasting(NamedTuple):
    """Of one run, means over its seeds.

    Attributes:
        share: last score ÷ best score; NaN if a seed's best is not above 0.
        drop: points of score that are lost between neighbouring evaluations.
        evaluations: how many there were.
    """

    share: float
    drop: float
    evaluations: int


def lasting_of(run: Run) -> Lasting | None:
    """How well a run's policies hold; None without scores or with fewer than `ENOUGH` of them."""
    steps, scores = run.curve("deterministic")
    if len(steps) < ENOUGH or not np.isfinite(scores).all():
        return None
    best = scores.max(axis=0)
    share = (scores[-1] / best).mean() if (best > 0).all() else np.nan
    return Lasting(float(share), float(np.maximum(-np.diff(scores, axis=0), 0).mean()), len(steps))


def lasting_markdown(runs: Sequence[Run]) -> str | None:
    """An algorithm a line, an environment a column; None if nothing can be said of any."""
    found = {(run.environment, run.label): lasting_of(run) for run in runs}
    if not any(found.values()):
        return None
    environments = list(dict.fromkeys(environment for environment, _ in found))
    labels = dict.fromkeys(label for _, label in found)
    lines = [[x, *(_cell(found.get((name, x))) for name in environments)] for x in labels]
    lines = [line for line in lines if set(line[1:]) != {""}]
    return markdown_table(("last ÷ best, drop", *environments), lines, left=1)


def _cell(lasting: Lasting | None) -> str:
    if lasting is None:
        return ""
    return f"{'n/a' if np.isnan(lasting.share) else f'{lasting.share:.2f}'}, {lasting.drop:.1f}"
