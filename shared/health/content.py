"""What a health report says of an examined data set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.comparison.drawing import Drawing
from shared.data.reader import Examined
from shared.data.recording.columns import Columns
from shared.data.recording.ends import Episodes, find_episodes
from shared.data.recording.units import to_unit
from shared.errors import ConfigError, printable
from shared.health.figures import drawings_of

ENDINGS = (".html", ".png")
HEAD = ("column", "least", "mean", "greatest", "deviation", "unchanged", "not finite")
"""Of the table of columns."""
_FACTS = {"control_rate": "Hz of control", "reward": "reward", "observation_offset": "shifted by"}
_MOST = 400
"""Columns that the table lists."""


class Health(NamedTuple):
    """All parts of a report.

    Attributes:
        title: heading.
        verdict: one sentence.
        facts: a few words each.
        faults: severity ("error" or "warning") and sentence.
        about: name and text of everything that the data say of themselves.
        table: lines as of `HEAD`.
        drawings: figures.
    """

    title: str
    verdict: str
    facts: list[str]
    faults: list[tuple[str, str]]
    about: list[tuple[str, str]]
    table: list[tuple[str, ...]]
    drawings: list[Drawing]


def check_ending(name: str) -> None:
    """Raise a ConfigError for a file whose ending is none of `ENDINGS`."""
    if not name.lower().endswith(ENDINGS):
        raise ConfigError(f"{name}: a health report ends in {' or '.join(ENDINGS)}; rename it.")


def health_of(file: Examined) -> Health:
    """Everything that can be said of an examined file."""
    faults = [(x.severity, x.sentence) for x in file.faults]
    faults.sort(key=lambda pair: pair[0] != "error")
    facts, table, drawings = [f"source: {file.source}"], [], []
    if file.columns is not None:
        episodes = find_episodes(file.columns, file.environment)
        facts += _counts(file, file.columns, episodes)
        action = file.columns.action
        scaled = action if file.action_range is None else to_unit(action, file.action_range)
        names = names_of(file)
        table = _table(file.columns, episodes, names)
        drawings = drawings_of(file.columns, scaled, episodes, names)
    title = f"Health of {printable(file.name)}"
    return Health(title, _verdict(faults), facts, faults, _about(file), table, drawings)


def names_of(file: Examined) -> tuple[list[str], list[str]]:
    """What each number of the observation and of the action is called."""
    assert file.columns is not None
    found = []
    for key, x in (("observation", file.columns.observation), ("action", file.columns.action)):
        own = [printable(n, 24) for n in str(file.attributes.get(f"{key}_names", "")).split(", ")]
        size = x.shape[1]
        found.append(own if len(own) == size else [f"{key} {k}" for k in range(size)])
    return found[0], found[1]


def _verdict(faults: Sequence[tuple[str, str]]) -> str:
    errors = sum(severity == "error" for severity, _ in faults)
    if errors:
        return f"Training refuses this data because of {errors} error{'s' * (errors > 1)}."
    if faults:
        count = len(faults)
        return f"Training takes this data, and tells {count} remark{'s' * (count > 1)}."
    return "Training takes this data; no fault was found."


def _counts(file: Examined, columns: Columns, episodes: Episodes) -> list[str]:
    rows, count = len(columns.reward), len(episodes.lengths)
    facts = [
        f"{rows:,} rows",
        f"{count:,} episode{'s' * (count != 1)}",
        f"observation {columns.observation.shape[1]}, action {columns.action.shape[1]}",
        f"{int(columns.terminal.sum()):,} terminals",
    ]
    rate = file.attributes.get("control_rate")
    if isinstance(rate, int | float) and rate > 0:
        facts.append(f"{rate:g} Hz, {rows / rate / 60:,.1f} minutes")
    return facts


def _about(file: Examined) -> list[tuple[str, str]]:
    """Everything that the data say of themselves."""
    found = [("file", printable(file.path.name, 200)), ("SHA-256", file.sha256)]
    found.append(("keys", ", ".join(printable(key) for key in file.keys[:40])))
    if file.action_range is not None:
        ends = zip(*file.action_range, strict=True)
        found.append(("action range", ", ".join(f"{a:.4g} to {b:.4g}" for a, b in ends)))
    skipped = ("action_low", "action_high", "observation_names", "action_names")
    for key, value in file.attributes.items():
        if key not in skipped:
            found.append((_FACTS.get(key, printable(key)), printable(str(value), 600)))
    return found


def _table(
    columns: Columns, episodes: Episodes, names: tuple[list[str], list[str]]
) -> list[tuple[str, ...]]:
    blocks = ((names[0], columns.observation), (names[1], columns.action))
    lines = [
        _line(f"{'observation' if k == 0 else 'action'}: {name}", x[:, i], episodes)
        for k, (own, x) in enumerate(blocks)
        for i, name in enumerate(own)
    ]
    return [*lines[:_MOST], _line("reward", columns.reward, episodes)]


def _line(name: str, x: np.ndarray, episodes: Episodes) -> tuple[str, ...]:
    known = x[np.isfinite(x)].astype(np.float64)
    inside = ~episodes.last[:-1]
    still = (x[1:] == x[:-1])[inside].mean() if inside.any() else 0.0
    values = (known.min(), known.mean(), known.max(), known.std()) if known.size else ()
    told = [f"{v:,.4g}" for v in values] or [""] * 4
    others = f"{x.size - known.size:,}" if known.size < x.size else ""
    return name, *told, f"{still:.1%}", others
