"""The two CSV tables of a run folder, read with every field checked.

`scores.csv` holds one row per evaluation episode, `metrics.csv` one row per
seed and compiled call.  Both are appended to while a run goes on, so the last
line of a running run may still be unfinished; anywhere else a broken line is
damage and is refused with its number.
"""

import csv
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.errors import RunError
from shared.record.schema import METRIC_COLUMNS, MODES, SCORE_COLUMNS


class Episode(NamedTuple):
    """One evaluation episode.

    `step` counts updates over all phases, `return_` is the raw sum of rewards
    and `score` its normalised form (NaN where the environment has no
    reference returns).
    """

    phase: str
    step: int
    seed: int
    mode: str
    episode: int
    return_: float
    score: float
    length: int
    source: str


class Metrics(NamedTuple):
    """Columns of `metrics.csv`, all of one length; blanks in `values` are NaN."""

    phase: np.ndarray
    step: np.ndarray
    seed: np.ndarray
    values: dict[str, np.ndarray]


def read_rows(file: Path, columns: tuple[str, ...], *, running: bool) -> list[dict[str, str]]:
    """Rows of a CSV file that has at least `columns`; row k stands in line k + 2.

    Args:
        file: a table of a run folder.
        columns: names that the header must have.
        running: whether the table is still being written, so that an
            unfinished last line is left out instead of being an error.

    Raises:
        RunError: if the file is missing, is not text, or has a broken line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RunError(f"{file} is missing; restore it or train the run again.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read ({error}); restore it.") from error
    lines = text.splitlines()
    if running and lines and not text.endswith("\n"):
        lines.pop()
    if not lines:
        return []
    header = next(csv.reader(lines[:1]))
    absent = [name for name in columns if name not in header]
    if absent:
        raise RunError(f"{file} has no column '{absent[0]}' in line 1; restore the file.")
    rows = []
    for number, cells in enumerate(csv.reader(lines[1:]), start=2):
        if len(cells) != len(header):
            raise RunError(
                f"{file} line {number} has {len(cells)} fields where its header has "
                f"{len(header)}; restore the file, or remove that line."
            )
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def read_scores(file: Path, *, running: bool = False) -> tuple[Episode, ...]:
    """Read `scores.csv` in file order; a row that is repeated exactly counts once.

    Raises:
        RunError: if the table is missing or damaged, or scores an episode
            twice with different outcomes.
    """
    episodes: dict[tuple, Episode] = {}
    for number, row in enumerate(read_rows(file, SCORE_COLUMNS, running=running), start=2):
        episode = _episode(file, number, row)
        key = (episode.phase, episode.step, episode.seed, episode.mode, episode.episode)
        known = episodes.setdefault(key, episode)
        if (known.return_, known.length) != (episode.return_, episode.length):
            raise RunError(
                f"{file} line {number} scores episode {episode.episode} of seed {episode.seed} at "
                f"step {episode.step} a second time with another return; remove the wrong line."
            )
    return tuple(episodes.values())


def _episode(file: Path, number: int, row: dict[str, str]) -> Episode:
    if row["mode"] not in MODES:
        raise RunError(
            f"{file} line {number} has mode {row['mode']!r}, which is neither "
            "'deterministic' nor 'sampled'; restore the file."
        )
    step, seed, episode, length = (
        _number(file, number, row, name, int) for name in ("step", "seed", "episode", "length")
    )
    return_ = _number(file, number, row, "return", float)
    score = _number(file, number, row, "score", float) if row["score"].strip() else math.nan
    return Episode(
        row["phase"], step, seed, row["mode"], episode, return_, score, length, row["source"]
    )


def _number(file: Path, line: int, row: dict[str, str], name: str, kind: type) -> Any:
    try:
        value = kind(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RunError(
            f"{file} line {line} has {row[name]!r} in column '{name}' where a number belongs; "
            "restore the file, or remove that line."
        )
    return value


def read_metrics(file: Path, *, running: bool = False) -> Metrics:
    """Read `metrics.csv`; every column after the seed becomes an array of floats.

    Raises:
        RunError: if the table is missing or damaged.
    """
    rows = read_rows(file, METRIC_COLUMNS, running=running)
    steps, seeds = (
        np.array([_number(file, k, row, name, int) for k, row in enumerate(rows, 2)], np.int64)
        for name in ("step", "seed")
    )
    header = rows[0] if rows else METRIC_COLUMNS  # of a run without an update
    names = [name for name in header if name not in ("phase", "step", "seed")]
    values = {
        name: np.array(
            [
                _number(file, k, row, name, float) if row[name].strip() else math.nan
                for k, row in enumerate(rows, 2)
            ]
        )
        for name in names
    }
    return Metrics(np.array([row["phase"] for row in rows], dtype=str), steps, seeds, values)
