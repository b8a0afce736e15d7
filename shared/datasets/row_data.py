"""A data set of flat observations: transitions, and which episode each belongs to."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from shared.datasets.dataset import Dataset
from shared.datasets.rows import TransitionDataset, make_dataset, spec_of
from shared.types import Spec, Transition


@dataclass(frozen=True, kw_only=True)
class RowData(Dataset):
    """Transitions on the host.

    Attributes:
        transitions: NumPy arrays with leading axis rows; float32, `terminal` bool.
        episode: episode number of every row.
    """

    transitions: Transition
    episode: Int[np.ndarray, "rows"]

    @property
    def rows(self) -> int:
        """Number of usable transitions."""
        return len(self.transitions.reward)

    @property
    def pixels(self) -> None:
        """How frames were drawn: there are none."""
        return None

    @cached_property
    def spec(self) -> Spec:
        """Sizes, observation statistics and extreme returns."""
        return spec_of(self.transitions, self.episode_returns)

    def to_device(
        self, *, validation_fraction: float = 0.1, seed: int = 0, where: str = "auto"
    ) -> TransitionDataset:
        """The transitions as device arrays, with whole episodes held out; `where` is the device."""
        return make_dataset(
            self.transitions, self.episode, validation_fraction=validation_fraction, seed=seed
        )

    def estimate(self, where: str = "auto") -> str:
        """One sentence on the memory that `to_device` takes, before it does."""
        size = sum(x.nbytes for x in self.transitions)
        return f"rows need {size / 2**20:,.0f} MiB; they are kept on the device"
