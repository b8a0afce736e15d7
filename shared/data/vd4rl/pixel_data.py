"""Recorded frames with their origin: what training from pixels is given."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.data.checks.table import find_faults
from shared.data.d4rl import OfflineData
from shared.data.files.attributes import Attributes
from shared.data.files.columns import Columns
from shared.data.vd4rl.rows import STATE_PARTS
from shared.datasets.frame_store import estimate, to_device
from shared.datasets.frames import Frames, to_transitions
from shared.datasets.pages import MappedSequences
from shared.datasets.sequences import SequenceDataset
from shared.environments.rendering import FAITHFUL, Pixels, RenderSettings
from shared.environments.scores import normalized_score
from shared.environments.tasks import environments
from shared.errors import DataError
from shared.types import Spec, Transition


@dataclass(frozen=True)
class PixelData:
    """Frames of a V-D4RL folder in memory, and where they come from.

    Attributes:
        name: data set, e.g. `walker_walk-medium_expert`, or the folders' names.
        path: the folder, or one file.
        sha256: digest over the names and digests of all files.
        source: "official", "collected" or "yours".
        frames: the canonical form.
        environment: task that scores it; None if not known.
        attributes: what the record of a collected set says (empty otherwise).
        warnings: sentences that training tells once.
        note: one sentence on how the folder was chosen; empty if there is nothing to say.
    """

    name: str
    path: Path
    sha256: str
    source: str
    frames: Frames
    environment: str | None
    attributes: Attributes
    warnings: tuple[str, ...] = ()
    note: str = ""

    @property
    def rows(self) -> int:
        """Number of actions; every episode has one frame more."""
        return int(self.frames.episode_lengths.sum())

    @property
    def episode_returns(self) -> np.ndarray:
        """Raw sums of rewards, float64."""
        return self.frames.episode_returns

    @property
    def mean_return(self) -> float:
        """Mean raw return of the episodes."""
        return float(self.episode_returns.mean())

    @property
    def mean_score(self) -> float | None:
        """Normalised score of `mean_return`; None without a known environment."""
        if self.environment is None:
            return None
        return float(normalized_score(self.environment, self.mean_return))

    @property
    def pixels(self) -> Pixels:
        """How the frames were drawn: by their record, or as dm_control draws."""
        assert self.frames.image is not None
        told = self.attributes.get("render")
        settings = RenderSettings(**json.loads(str(told))) if told else FAITHFUL
        return Pixels(self.frames.image.shape[1], settings)

    @property
    def spec(self) -> Spec:
        """Shapes and extreme returns."""
        assert self.frames.image is not None
        shape, size = self.frames.image.shape[1:], self.frames.action.shape[1]
        returns = np.array([self.episode_returns.min(), self.episode_returns.max()], np.float32)
        return Spec.of_pixels(shape, size, returns)

    def to_device(
        self, *, validation_fraction: float = 0.1, seed: int = 0, where: str = "auto"
    ) -> SequenceDataset | MappedSequences:
        """The frames for training, on the device or on the host; arguments as `to_device`."""
        options = {"validation_fraction": validation_fraction, "seed": seed, "where": where}
        return to_device(self.frames, **options)

    def estimate(self, where: str = "auto") -> str:
        """One sentence on the memory that `to_device` takes, before it does."""
        assert self.frames.image is not None
        return estimate(self.frames.image.nbytes, where)

    def states(self) -> OfflineData:
        """The state variant, as any other data set of transitions.

        Raises:
            DataError: the files hold no states, or states with a fault (`validate`).
        """
        if self.frames.state is None:
            raise DataError(
                f"{self.path}: holds no states (none of {', '.join(STATE_PARTS[:4])}, ...), only "
                "pixels; record a set with states, or train from pixels."
            )
        transitions, episode = to_transitions(self.frames)
        told = self._state_warnings(transitions, episode)
        return OfflineData(
            name=self.name,
            path=self.path,
            sha256=self.sha256,
            source=self.source,
            transitions=transitions,
            episode=episode,
            episode_returns=self.frames.episode_returns,
            episode_lengths=self.frames.episode_lengths,
            episode_finished=np.ones(len(self.frames.episode_lengths), bool),
            environment=self.environment,
            attributes=self.attributes,
            warnings=(*self.warnings, *told),
        )

    def _state_warnings(self, transitions: Transition, episode: np.ndarray) -> list[str]:
        """The faults of the states, as of any other file."""
        observation, action, reward, terminal, following = transitions
        last = np.append(episode[1:] != episode[:-1], True)
        columns = Columns(observation, action, reward, terminal, last & ~terminal, following)
        known = environments().get(self.environment or "")
        faults = find_faults(columns, known)
        for fault in faults:
            if fault.severity == "error":
                raise DataError(f"{self.path}: in the states, {fault.sentence}")
        return [f"{self.path.name}: in the states, {fault.sentence}" for fault in faults]
