"""Is it any good?  What the data say of a policy that no simulator has scored, in sentences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared.choice.candidates import candidates_of, data_of
from shared.choice.judge import Judge, Verdict
from shared.choice.ranking import FAR

SHARE = 0.1
"""Of the episodes, to judge a run that held none out."""
PROMISED = 3.0
"""Critics that promise so many standard deviations more than the data return are not believed."""


def sentences(path: Path, tell: Callable[[str], Any] = lambda _: None) -> list[str]:
    """Of every seed of a run's last checkpoint; none of pictures, or of a single episode.

    Fitted Q evaluation, which takes minutes, is left to `choose`.

    Arguments:
        path: run folder.
        tell: is given a sentence before work begins.
    """
    candidates = candidates_of(path)
    if candidates[0].record.get("pixels") is not None:
        return []
    data = data_of(candidates)
    if len(np.unique(data.episode)) < 2:
        return []
    tell("judging it by the data alone (a clone is trained to compare with) ...")
    judge, told = Judge(data, share=candidates[0].held_out or SHARE), []
    for one in candidates:
        told += _of_policy(judge(one, fit=False), judge)
    return told


def _of_policy(verdict: Verdict, judge: Judge) -> list[str]:
    where = "held-out episodes" if verdict.unseen else "episodes that it learned from"
    told = [
        f"{verdict.label}: action error {verdict.action_error:.3f} on {len(judge.rows):,} rows of "
        f"{where}, a clone's that never saw them {judge.clone_error:.3f}; farther from the data "
        f"than 99 % of what was recorded: {verdict.actions_beyond:.0%} of its actions, "
        f"{verdict.states_beyond:.0%} of the states that it would reach"
    ]
    if verdict.q is not None:
        told[0] += (
            f"; its critics promise {verdict.q:.4g} there, the data return {verdict.q_data:.4g}"
        )
    if max(verdict.actions_beyond, verdict.states_beyond) > FAR:
        told.append(
            f"warning: {verdict.label} leaves the data, and nothing recorded says what happens "
            "there; hold it closer to them, or watch it when it acts"
        )
    if verdict.q_excess is not None and verdict.q_excess > PROMISED:
        told.append(
            f"warning: the critics of {verdict.label} promise {verdict.q_excess:.1f} standard "
            "deviations more than the data return; do not believe them"
        )
    return told
