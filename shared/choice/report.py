"""The ranking on the terminal, as CSV and as JSON."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from shared.choice.judge import Judge
from shared.choice.ranking import CHOSEN, Place
from shared.comparison.exports import write_json
from shared.comparison.numbers import digits_of, format_interval, format_number
from shared.comparison.statistics import Interval

NAMES = (
    "rank", "policy", "estimate", "95 % interval", "action error", "log-lik.", "Q - data",
    "actions beyond", "states beyond",
)  # fmt: skip


def table(places: Sequence[Place], judge: Judge) -> Table:
    """A line a candidate, every criterion a column; the clone's stand below."""
    scored = all(place.verdict.score is not None for place in places)
    unit = "normalised score" if scored else "raw return"
    caption = (
        f"From {judge.data.name} alone (data: {judge.data.source}), no simulator. Estimate: fitted "
        f"Q evaluation, discount {judge.discount:g}, as {unit}, mean over the starts of episodes; "
        f"ranked by the lower end of its interval. Rank: in brackets 95 % of the ranks by value. "
        f"Action error: root mean square on {len(judge.rows):,} rows of held-out episodes; a "
        f"clone's is {judge.clone_error:.3f}, its log-likelihood {judge.clone_log_prob:.2f} nats. "
        "Q - data: of the policy's own critics at the starts, in standard deviations of the "
        "data's discounted returns. Beyond: share of its actions, and of the states it would "
        "reach, farther from the data than 99 % of recorded ones."
    )
    found = Table(*NAMES, title="Choice without a simulator", caption=caption)
    found.caption_justify = "left"
    for place in places:
        found.add_row(*_cells(place, scored))
    return found


def _cells(place: Place, scored: bool) -> list[str]:
    verdict = place.verdict
    estimate = verdict.score if scored else verdict.return_
    number, interval = "n/a", "n/a"
    if estimate is not None:
        digits = 1 if scored else digits_of(estimate[0])
        number = format_number(estimate[0], digits)
        interval = format_interval(Interval(*estimate[1:]), digits)
    low, high = place.interval
    return [
        f"{place.rank} [{low}, {high}]",
        verdict.label,
        number,
        interval,
        f"{verdict.action_error:.3f}" + ("" if verdict.unseen else " (seen)"),
        format_number(verdict.log_prob, 2),
        format_number(verdict.q_excess, 2),
        f"{verdict.actions_beyond:.1%}",
        f"{verdict.states_beyond:.1%}",
    ]


def record(place: Place) -> dict[str, Any]:
    """Every number of one candidate, flat and unrounded; None where there is none."""
    verdict = place.verdict._asdict()
    estimate, return_, score = (verdict.pop(key) for key in ("estimate", "return_", "score"))
    low, high = place.interval
    ranks = {"rank": place.rank, "rank_low": low, "rank_high": high, "is_first": place.is_first}
    numbers: dict[str, Any] = {
        "value": None,
        "value_low": None,
        "value_high": None,
        "value_spread": None,
    }
    if estimate is not None:
        found = (estimate.value, *estimate.interval, estimate.spread)
        numbers = dict(zip(numbers, found, strict=True))
    for name, triple in (("return", return_), ("score", score)):
        keys = (name, f"{name}_low", f"{name}_high")
        numbers |= dict(zip(keys, triple or (None, None, None), strict=True))
    return ranks | verdict | numbers


def write(places: Sequence[Place], judge: Judge, told: Sequence[str], out: Path) -> list[str]:
    """Write choice.csv and choice.json into a folder; their names."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [record(place) for place in places]
    with (out / "choice.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    content = {
        "data": {"name": judge.data.name, "sha256": judge.data.sha256},
        "ranked_by": CHOSEN,
        "discount": judge.discount,
        "held_out_episodes": judge.share,
        "clone": {"action_error": judge.clone_error, "log_prob": judge.clone_log_prob},
        "candidates": rows,
        "warnings": list(told),
    }
    write_json(content, out / "choice.json")
    return ["choice.csv", "choice.json"]
