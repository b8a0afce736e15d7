"""One recorded data set on the host, and where it comes from: what a run is given."""

import abc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from shared.environments.rendering import Pixels
from shared.environments.scores import normalized_score
from shared.types import Spec

SOURCES = ("official", "collected", "yours")
PERCENTILES = (0, 10, 25, 50, 75, 90, 100)


@dataclass(frozen=True, kw_only=True)
class Dataset(abc.ABC):
    """A data set in memory; `RowData` holds transitions, `FrameData` pictures.

    Attributes:
        name: data set, e.g. `hopper-medium`, or the file's stem.
        path: the file or folder.
        sha256: digest of the file; of a folder, over the names and digests of its files.
        source: "official" (the benchmark's own file), "collected" (recorded by this project,
            never called D4RL or V-D4RL) or "yours" (any other).
        environment: task that scores it, e.g. `hopper`; None if not known.
        attributes: plain values that the file says of itself.
        episode_returns: raw sums of rewards.
        episode_lengths: rows (of frames: actions) in the file.
        episode_finished: false where the file breaks off in mid-episode.
        warnings: sentences that training tells once.
        note: one sentence on how the file was chosen; empty if there is nothing to say.
        action_range: lowest and highest command of every motor, float32, which the data's
            actions were scaled from; None where they were in [-1, 1] as stored.
        observation_offset: what was subtracted from every observation, in float64, because
            float32 could not hold the sum; None where nothing was.
        cut_jumps: were episodes cut at jumps that no flag marks?
    """

    name: str
    path: Path
    sha256: str
    source: str
    environment: str | None
    attributes: dict[str, Any]
    episode_returns: Float[np.ndarray, "episodes"]
    episode_lengths: Int[np.ndarray, "episodes"]
    episode_finished: Bool[np.ndarray, "episodes"]
    warnings: tuple[str, ...] = ()
    note: str = ""
    action_range: tuple[Float[np.ndarray, "action"], Float[np.ndarray, "action"]] | None = None
    observation_offset: Float[np.ndarray, "observation"] | None = None
    cut_jumps: bool = False

    @property
    @abc.abstractmethod
    def rows(self) -> int:
        """Number of usable actions."""

    @property
    @abc.abstractmethod
    def spec(self) -> Spec:
        """Sizes, observation statistics and extreme returns."""

    @property
    @abc.abstractmethod
    def pixels(self) -> Pixels | None:
        """How frames were drawn; None of states."""

    @abc.abstractmethod
    def to_device(self, *, validation_fraction: float = 0.1, seed: int = 0, where: str = "auto"):
        """The data as training draws them, with whole episodes held out.

        Arguments:
            validation_fraction: share of the *episodes* held out.
            seed: fixes which.
            where: "device", "mapped" (frames stay on the host), or "auto": by the room there is.
        """

    @abc.abstractmethod
    def estimate(self, where: str = "auto") -> str:
        """One sentence on the memory that `to_device` takes, before it does."""

    @property
    def finished_returns(self) -> Float[np.ndarray, "finished"]:
        """Raw returns of the finished episodes (of all, if none is finished)."""
        finished = self.episode_finished
        return self.episode_returns[finished] if finished.any() else self.episode_returns

    @property
    def mean_return(self) -> float:
        """Mean of `finished_returns`."""
        return float(self.finished_returns.mean())

    @property
    def mean_score(self) -> float | None:
        """Normalised score of `mean_return`; None without an environment's reference returns."""
        if self.environment is None:
            return None
        score = float(normalized_score(self.environment, self.mean_return))
        return score if np.isfinite(score) else None

    @property
    def percentiles(self) -> dict[int, float]:
        """Percentile -> raw return of the finished episodes."""
        found = np.percentile(self.finished_returns, PERCENTILES)
        return {p: float(x) for p, x in zip(PERCENTILES, found, strict=True)}

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything to tell the user once: the choice of the file, then the warnings."""
        return (*((self.note,) if self.note else ()), *self.warnings)
