"""docs/results/choosing.md and its table, from judged runs."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from choosing_candidates import CANDIDATES, SETS, VERDICT, slug

from shared.choice.agreement import random_regret, rank_correlation, regret
from shared.comparison.exports import markdown_table
from shared.comparison.read import read_run

CHOSE, CONFIRMED = SETS[:3], SETS[3:]
SIGNS = {
    "value": ("FQE", 1),
    "value_low": ("FQE, lower end", 1),
    "q_excess": ("the value estimate of its own critics", 1),
    "loss": ("training loss of the actor", -1),
    "action_error": ("action error", -1),
    "log_prob": ("likelihood", 1),
    "actions_beyond": ("actions beyond the data", -1),
    "states_beyond": ("states beyond the data", -1),
}
"""Column of the table -> its words, and 1 where more is better."""
KEPT = ("dataset", "label", "truth", "truth_error", *SIGNS, "score", "score_low", "score_high")
KEPT += ("clone_error", "clone_log_prob", "cpu_seconds")


def rows_of(runs: Path) -> list[dict[str, Any]]:
    """A row for every judged candidate: the criteria, and `truth`, its score in the simulator."""
    found = []
    for dataset in SETS:
        for label in CANDIDATES:
            out = runs / dataset / slug(label)
            if (out / VERDICT).exists():
                verdict = json.loads((out / VERDICT).read_text("utf-8"))
                found.append(verdict | {"dataset": dataset, "label": label} | outcome(out))
    return found


def outcome(out: Path) -> dict[str, Any]:
    """What the simulator said of the last policy, and the last loss of its actor."""
    run = read_run(out)
    (episodes,) = run.final_episodes("deterministic").values()
    scores = np.array([episode.score for episode in episodes])
    metrics = run.metrics()
    loss = metrics.values.get("actor_loss", np.full(1, np.nan))[-1]
    error = float(scores.std(ddof=1) / np.sqrt(len(scores)))
    loss = float(loss) if np.isfinite(loss) else None
    return {"truth": float(scores.mean()), "truth_error": error, "loss": loss}


def agreement(rows: list[dict[str, Any]], key: str, sets: tuple[str, ...]) -> list[str]:
    """Policies, mean rank correlation and regrets of one criterion over the sets that have it."""
    words, sign = SIGNS[key]
    count, correlations, regrets = 0, [], []
    for dataset in sets:
        own = [row for row in rows if row["dataset"] == dataset and row[key] is not None]
        if len(own) < 3:
            continue
        criterion = np.array([sign * row[key] for row in own])
        truth = np.array([row["truth"] for row in own])
        count += len(own)
        correlations.append(rank_correlation(criterion, truth))
        regrets.append([regret(criterion, truth, k) for k in (1, 3)])
    if not count:
        return [words, "0", "n/a", "n/a", "n/a"]
    means = np.mean(regrets, axis=0)
    return [words, str(count), f"{np.mean(correlations):.2f}", *(f"{x:.1f}" for x in means)]


def of_chance(rows: list[dict[str, Any]], sets: tuple[str, ...]) -> list[str]:
    """The same of choosing at random."""
    truths = [np.array([r["truth"] for r in rows if r["dataset"] == name]) for name in sets]
    truths = [truth for truth in truths if len(truth) >= 3]
    means = [np.mean([random_regret(truth, k) for truth in truths]) for k in (1, 3)]
    return ["at random", str(sum(map(len, truths))), "0.00", *(f"{x:.1f}" for x in means)]


def tables(rows: list[dict[str, Any]]) -> str:
    """How well every criterion chooses, on the sets that chose settings and on the other."""
    names = ("criterion", "policies", "rank correlation", "regret@1", "regret@3")
    parts = []
    for sets in (CHOSE, CONFIRMED, *((name,) for name in SETS)):
        own = tuple(name for name in sets if any(row["dataset"] == name for row in rows))
        if own and not (len(sets) > 1 and len(own) < 2):
            lines = [*(agreement(rows, key, own) for key in SIGNS), of_chance(rows, own)]
            parts.append(f"### {', '.join(own)}\n\n{markdown_table(names, lines, left=1)}\n")
    return "\n".join(dict.fromkeys(parts))


def truth_within(rows: list[dict[str, Any]]) -> str:
    """How often an interval of FQE holds the score, and how far its middle lies from it."""
    within = sum(row["score_low"] <= row["truth"] <= row["score_high"] for row in rows)
    error = np.mean([abs(row["score"] - row["truth"]) for row in rows])
    return (
        f"FQE's 95 % interval holds the score of {within} of {len(rows)} policies; its estimate "
        f"lies {error:.1f} points from the score in the mean.\n"
    )


def policies(rows: list[dict[str, Any]]) -> str:
    """Every policy: the truth beside the criteria."""
    names = ("set", "policy", "score", "FQE", "lower end", "action error", "states beyond")

    def cells(row):
        numbers = (row["truth"], row["score"], row["score_low"])
        shares = (f"{row['action_error']:.3f}", f"{row['states_beyond']:.0%}")
        return [row["dataset"], row["label"], *(f"{x:.1f}" for x in numbers), *shares]

    ordered = sorted(rows, key=lambda row: (SETS.index(row["dataset"]), -row["truth"]))
    return markdown_table(names, map(cells, ordered), left=2)


def write(runs: Path, docs: Path) -> None:
    """The tables between the page's two marks, and choosing.csv; other sentences stay."""
    rows = rows_of(runs)
    with (docs / "choosing.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, KEPT, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    page = docs / "choosing.md"
    begin, end = "<!-- tables -->\n", "<!-- end of tables -->\n"
    text = page.read_text("utf-8") if page.exists() else f"# Choosing\n\n{begin}{end}"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    criteria = f"## Criteria\n\n{tables(rows)}\n{truth_within(rows)}"
    made = f"{criteria}\n## Policies\n\n{policies(rows)}\n\n"
    page.write_text(f"{head}{begin}\n{made}{end}{tail}", "utf-8")
