"""Reads a file in D4RL's form (or another of `sources`) into transitions.

The two forms of the format are read differently:

With `next_observations` every row is a transition of its own, the last row and
timeout rows included, because the file holds what their action led to.  (D4RL's
own `qlearning_dataset` ignores the key and drops them, about one row in a
thousand.)  Only rows whose next observation is demonstrably the next episode's
reset are left out.

Without it the next observation is row i+1, so an episode's last row has none:
it is dropped unless it is terminal, and the file's very last row is never used,
exactly as `qlearning_dataset` does.  A terminal row that ends its episode gets
its own observation as the next one: the bootstrap is masked there, and no other
episode's start must leak in.

Returns and lengths of episodes are taken over all rows of the file, dropped
ones included.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from shared.data.catalog import Entry, datasets, lookup_own, official_entry
from shared.data.checks.table import find_faults
from shared.data.episodes import Episodes, find_episodes, leaked_resets
from shared.data.files.attributes import Attributes
from shared.data.files.columns import Columns, Fault
from shared.data.sources import read_source
from shared.datasets.rows import TransitionDataset, make_dataset, spec_of
from shared.environments.scores import normalized_score
from shared.environments.tasks import Environment
from shared.errors import DataError
from shared.types import Spec, Transition

SOURCES = ("official", "collected", "yours")


@dataclass(frozen=True)
class OfflineData:
    """One data set in memory, and where it comes from.

    Attributes:
        name: data set, e.g. `hopper-medium`, or the file's stem.
        path: the file.
        sha256: digest of the file.
        source: "official" (D4RL's own file), "collected" (recorded by this
            project, never called D4RL) or "yours" (any other file).
        transitions: NumPy arrays with leading axis rows; float32, `terminal` bool.
        episode: (rows,) episode number of every row.
        episode_returns: (episodes,) raw sums of rewards, float64.
        episode_lengths: (episodes,) rows in the file.
        episode_finished: (episodes,) false where the file breaks off in mid-episode.
        environment: task that scores it, e.g. `hopper`; None if not known.
        attributes: the file's plain root attributes.
        warnings: sentences that training tells once.
        note: one sentence on how the file was chosen; empty if there is nothing to say.
    """

    name: str
    path: Path
    sha256: str
    source: str
    transitions: Transition
    episode: Int[np.ndarray, "rows"]
    episode_returns: Float[np.ndarray, "episodes"]
    episode_lengths: Int[np.ndarray, "episodes"]
    episode_finished: Bool[np.ndarray, "episodes"]
    environment: str | None
    attributes: Attributes
    warnings: tuple[str, ...] = ()
    note: str = ""

    @property
    def rows(self) -> int:
        """Number of usable transitions."""
        return len(self.transitions.reward)

    @property
    def mean_return(self) -> float:
        """Mean raw return of the finished episodes (of all, if none is finished)."""
        returns = self.episode_returns
        return float(
            (returns[self.episode_finished] if self.episode_finished.any() else returns).mean()
        )

    @property
    def mean_score(self) -> float | None:
        """Normalised score of `mean_return`; None without an environment's reference returns."""
        if self.environment is None:
            return None
        score = float(normalized_score(self.environment, self.mean_return))
        return score if np.isfinite(score) else None

    @property
    def pixels(self) -> None:
        """How frames were drawn: there are none."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything to tell the user once: the choice of the file, then the warnings."""
        return (*((self.note,) if self.note else ()), *self.warnings)

    @cached_property
    def spec(self) -> Spec:
        """Sizes, observation statistics and extreme returns."""
        return spec_of(self.transitions, self.episode_returns)

    def to_device(self, *, validation_fraction: float = 0.1, seed: int = 0) -> TransitionDataset:
        """The transitions as device arrays, with whole episodes held out."""
        return make_dataset(
            self.transitions, self.episode, validation_fraction=validation_fraction, seed=seed
        )


@dataclass(frozen=True)
class Examined:
    """A file as far as it can be read, and all its faults; what `data inspect` shows."""

    name: str
    path: Path
    sha256: str
    source: str
    environment: Environment | None
    attributes: Attributes
    keys: tuple[str, ...]
    columns: Columns | None
    faults: list[Fault]


def read_d4rl(path: str | Path, *, name: str | None = None, official: bool = False) -> OfflineData:
    """Read and validate a file.

    Arguments:
        path: HDF5 file with D4RL's keys, or another form of `sources`.
        name: data set (or task) that the file is meant to be; None reads it off the file.
        official: the file came through the catalog's download path.

    Raises:
        DataError: unreadable, broken, hostile or wrong in form or meaning.
    """
    file = examine(path, name=name, official=official)
    errors = [fault.sentence for fault in file.faults if fault.severity == "error"]
    if errors:
        more = f"  ({len(errors) - 1} more: see 'data inspect')" if len(errors) > 1 else ""
        raise DataError(f"{file.path}: {errors[0]}{more}")
    assert file.columns is not None
    episodes = find_episodes(file.columns, file.environment)
    transitions, kept = to_transitions(file.columns, episodes, file.environment)
    if not len(transitions.reward):
        raise DataError(f"{file.path}: has no usable transition; record longer episodes.")
    return OfflineData(
        name=file.name,
        path=file.path,
        sha256=file.sha256,
        source=file.source,
        transitions=transitions,
        episode=episodes.number[kept],
        episode_returns=episodes.returns,
        episode_lengths=episodes.lengths,
        episode_finished=episodes.finished,
        environment=None if file.environment is None else file.environment.name,
        attributes=file.attributes,
        warnings=tuple(f"{file.path.name}: {fault.sentence}" for fault in file.faults),
    )


def examine(path: str | Path, *, name: str | None = None, official: bool = False) -> Examined:
    """Read a file and find its faults without raising for them.

    Raises:
        DataError: the file cannot be opened safely, or `name` is unknown.
    """
    path = Path(path)
    entry = None if name is None else lookup_own(name)
    source = read_source(path)
    columns, faults = source.columns, list(source.faults)
    collected = source.attributes.get("source") == "collected"
    if collected:
        told = datasets().get(str(source.attributes.get("dataset")))
    else:
        told = source.known or (official_entry(path.name) if entry is None else None)
    if entry is not None and told is not None and not _agrees(told, entry):
        sentence = f"the file is '{told.name}', but it is used as '{entry.name}'."
        faults.append(Fault("name", "warning", sentence))
    entry = entry or told
    environment = None if entry is None else entry.environment
    if columns is not None:
        faults += find_faults(columns, environment)
    return Examined(
        name=path.resolve().stem if entry is None else entry.name,
        path=path,
        sha256=source.sha256,
        source="collected"
        if collected
        else "official"
        if official or source.known is not None
        else "yours",
        environment=environment,
        attributes=source.attributes,
        keys=source.keys,
        columns=columns,
        faults=faults,
    )


def _agrees(told: Entry, used: Entry) -> bool:
    """May a file of one data set be used as another, or as one of a task?"""
    return told == used if used.file else told.environment == used.environment


def to_transitions(
    columns: Columns, episodes: Episodes, environment: Environment | None
) -> tuple[Transition, np.ndarray]:
    """Transitions of the usable rows, and the numbers of those rows."""
    observation, terminal, last = columns.observation, columns.terminal, episodes.last
    if columns.next_observation is not None:
        kept = np.flatnonzero(~leaked_resets(columns, last, environment))
        following = columns.next_observation
    else:
        usable = ~last | terminal
        usable[-1] = False
        kept = np.flatnonzero(usable)
        own = (last & terminal)[:-1, None]
        following = np.where(own, observation[:-1], observation[1:])
    action = np.clip(columns.action, -1, 1)
    rows: Any = (observation, action, columns.reward, terminal, following)
    return Transition(*(x[kept] for x in rows)), kept
