"""Readings of a results page, computed from the returns that lie beside it.

A study names pairs: a label and what it is read against, another label, the data, or a label
of another page on the same data.  Whether the first is above, below or level with the second
follows from the table of episodes, so that a page cannot say what its table does not.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.comparison.numbers import digits_of, format_interval, format_number
from shared.comparison.statistics import Interval, bootstrap_interval, mean
from shared.errors import RunError

Claim = tuple[str, str]
"""A label, and a label, `DATA` or `PAGE.md: LABEL` to read it against; see `returns_of`."""
Place = tuple[str, str]
"""An environment and the SHA-256 of its data."""
DATA = "the data"
SAMPLED = ", sampled"
TITLE = "## Readings"
HOW = (
    "Mean returns of the last policies, deterministic but where 'sampled' is said, with their 95 % "
    "intervals over seeds, computed from the table of episodes. Above and below: the intervals lie "
    "apart (the mean of the data and a single seed are points). Level with: they overlap. Every "
    "seed: each of the first lies there from each of the second."
)
REST = re.compile(r"\n(?=## (?!Readings))")


def refreshed(page: Path, notes: Sequence[str], claims: Sequence[Claim]) -> str:
    """The text of a page with these `notes`, and its readings computed again.

    Args:
        page: `NAME.md` as `write_results` writes it, with `NAME-episodes.csv` beside it.
        notes: paragraphs below the title.
        claims: what to read; without any there is no such section.
    """
    head, rest = REST.split(page.read_text(encoding="utf-8"), maxsplit=1)
    parts = [head.splitlines()[0], *notes]
    if claims:
        sentences = (f"- {_sentence(page, *claim)}" for claim in claims)
        parts += [TITLE, HOW, "\n".join(sentences)]
    return "\n\n".join([*parts, rest])


def _sentence(page: Path, first: str, second: str) -> str:
    ours, theirs = returns_of(page, first), returns_of(page, second)
    found: dict[str, list[str]] = {}
    for place in sorted(ours):
        against = place if place in theirs else _recorded_twice(place, theirs, second)
        if against is None:
            continue
        relation, numbers = relate(ours[place], theirs[against], points=second == DATA)
        where = place[0] if against == place else f"{place[0]}, recorded twice"
        found.setdefault(relation, []).append(f"{where} ({numbers})")
    if not found:
        raise RunError(f"{page}: '{first}' and '{second}' share no data; name labels that do.")
    other, _, label = second.rpartition(".md: ")
    second = f"{label} ([{other}]({other}.md))" if other else label
    told = (f"{relation} {second} on {', '.join(found[relation])}" for relation in sorted(found))
    return f"{first}: {'; '.join(told)}."


def _recorded_twice(place: Place, others: dict[Place, np.ndarray], label: str) -> Place | None:
    """The other file of a data set: machines of one study may each record their own stand-in.

    Another page's data of that name may be quite different ones, so there is none on it.
    """
    named = [other for other in others if other[0] == place[0]]
    return named[0] if len(named) == 1 and ".md: " not in label else None


def relate(first: np.ndarray, second: np.ndarray, *, points: bool = False) -> tuple[str, str]:
    """`above`, `below` or `level with`, and the numbers that show it.

    Args:
        first: mean returns of the seeds, shape (seeds,).
        second: the same of the other, or a single mean.
        points: whether that mean is one of data, which have no seeds.
    """
    x, y = _interval(first), _interval(second)
    sign = int(x.low > y.high) - int(x.high < y.low)
    relation = {1: "above", -1: "below", 0: "level with"}[sign]
    apart = (sign * first).min() > (sign * second).max()
    numbers = [_told(first), _number(second.mean()) if points else _told(second)]
    return relation, "; ".join(numbers + ["every seed"] * bool(apart and len(first) > 1))


def _interval(returns: np.ndarray) -> Interval:
    point = float(returns.mean())
    return bootstrap_interval(mean, [returns]) or Interval(point, point)


def _told(returns: np.ndarray) -> str:
    if len(returns) == 1:
        return f"{_number(returns[0])}, 1 seed"
    digits = digits_of(float(returns.mean()))
    return f"{_number(returns.mean())} {format_interval(_interval(returns), digits)}"


def _number(value) -> str:
    return format_number(float(value), digits_of(float(value)))


def returns_of(page: Path, label: str) -> dict[Place, np.ndarray]:
    """Mean returns of each seed's last policy, shape (seeds,), by place.

    Args:
        page: `NAME.md`.
        label: of that page, `OTHER.md: LABEL` of another page, or `DATA`: one mean a place.
            The policy is the deterministic one, with `SAMPLED` behind the label the other.
    """
    other, _, label = label.rpartition(".md: ")
    mode = "sampled" if label.endswith(SAMPLED) else "deterministic"
    label = label.removesuffix(SAMPLED)
    page = page.with_name(f"{other}.md") if other else page
    seeds: dict[Place, dict[int, list[float]]] = {}
    with page.with_name(f"{page.stem}-episodes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["mode"] == mode and label in (row["label"], DATA):
                place = (row["environment"], row["data_sha256"])
                own = seeds.setdefault(place, {}).setdefault(int(row["seed"]), [])
                own.append(float(row["return"]))
    if label == DATA:
        means = data_means(page.read_text(encoding="utf-8"))
        return {place: np.array([means[place[1]]]) for place in seeds}
    return {place: np.array([np.mean(e) for e in own.values()]) for place, own in seeds.items()}


def data_means(text: str) -> dict[str, float]:
    """SHA-256 -> mean return, from the table of data of a page."""
    rows = [line.split(" | ") for line in text.partition("\n## Data\n")[2].splitlines()]
    return {row[2]: float(row[5].replace(",", "")) for row in rows[3:] if len(row) == 8}
