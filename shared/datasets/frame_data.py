"""A data set of pictures: the frames of whole episodes."""

import json
from dataclasses import dataclass

import numpy as np

from shared.datasets.dataset import Dataset
from shared.datasets.frame_store import estimate, to_device
from shared.datasets.frames import Frames
from shared.datasets.pages import MappedSequences
from shared.datasets.sequences import SequenceDataset
from shared.environments.rendering import FAITHFUL, Pixels, RenderSettings
from shared.types import Spec


@dataclass(frozen=True, kw_only=True)
class FrameData(Dataset):
    """Frames on the host, in memory or mapped.

    Attributes:
        frames: the canonical form; without pictures, until they are asked for.
    """

    frames: Frames

    @property
    def rows(self) -> int:
        """Number of actions; every episode has one frame more."""
        return int(self.episode_lengths.sum())

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
        """The frames for training, on the device or on the host."""
        options = {"validation_fraction": validation_fraction, "seed": seed, "where": where}
        return to_device(self.frames, **options)

    def estimate(self, where: str = "auto") -> str:
        """One sentence on the memory that `to_device` takes, before it does."""
        assert self.frames.image is not None
        return estimate(self.frames.image.nbytes, where)
