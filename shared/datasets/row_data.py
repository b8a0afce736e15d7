"""A data set of flat observations: transitions, and which episode each belongs to."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int

from shared.datasets.dataset import Dataset
from shared.datasets.rows import TransitionDataset, held_out, make_dataset, spec_of
from shared.types import Spec, Transition

JUDGED = 1
"""Seed of the choice of episodes that judge policies; that of validation is another."""


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

    def judged_episodes(self, share: float) -> Int[np.ndarray, "some"]:
        """The episodes that a policy is judged on: those of a smaller share are among them."""
        return held_out(np.unique(self.episode), share, JUDGED)

    def without(self, episodes: Int[np.ndarray, "some"]) -> "RowData":
        """The same data less these episodes; the others keep their numbers."""
        stays = ~np.isin(self.episode, episodes)
        rest = np.setdiff1d(np.arange(len(self.episode_returns)), episodes)
        return replace(
            self,
            transitions=Transition(*(x[stays] for x in self.transitions)),
            episode=self.episode[stays],
            episode_returns=self.episode_returns[rest],
            episode_lengths=self.episode_lengths[rest],
            episode_finished=self.episode_finished[rest],
        )

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
