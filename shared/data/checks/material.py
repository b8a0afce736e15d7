"""What the checks look at: the columns, the task, and what several of them need, once."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from shared.data.recording.columns import Columns
from shared.data.recording.ends import Episodes, broken_rows, find_episodes, flagged_ends
from shared.data.recording.jumps import unmarked_jumps
from shared.environments.tasks import Environment

SAMPLE = 5_000
"""Statistics that need no single row are taken over about this many, evenly spread."""

_BLOCK = 4096


class Extremes(NamedTuple):
    """Per column: smallest and largest value; not-a-number where the column holds one."""

    low: Float[np.ndarray, "columns"]
    high: Float[np.ndarray, "columns"]

    @property
    def size(self) -> float:
        """The largest absolute value of all columns."""
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))


class Material:
    """All rows of a file and, where known, its task; derived arrays are computed on demand."""

    def __init__(self, columns: Columns, environment: Environment | None, declared: bool = False):
        self.columns, self.environment = columns, environment
        self.declared = declared
        """Were the actions scaled from a range that somebody declared?"""
        self.quirk = environment.quirk if environment is not None else ""

    @cached_property
    def extremes(self) -> dict[str, Extremes]:
        """Of every real column by its D4RL key."""
        named = {
            "observations": self.columns.observation,
            "actions": self.columns.action,
            "rewards": self.columns.reward[:, None],
            "next_observations": self.columns.next_observation,
        }
        return {k: Extremes(x.min(0), x.max(0)) for k, x in named.items() if x is not None}

    @cached_property
    def flagged(self) -> Bool[np.ndarray, "rows"]:
        """Rows whose flags end an episode."""
        return flagged_ends(self.columns, self.environment)

    @cached_property
    def broken(self) -> Bool[np.ndarray, "rows"]:
        """Rows inside an episode that the next row does not continue."""
        return broken_rows(self.columns, self.flagged)

    @cached_property
    def jumps(self) -> Bool[np.ndarray, "rows"]:
        """Rows whose next row no step leads to, and no flag."""
        return unmarked_jumps(self.columns, self.environment)

    @cached_property
    def episodes(self) -> Episodes:
        """The rows, cut into episodes."""
        return find_episodes(self.columns, self.environment, self.broken)

    @cached_property
    def first(self) -> Int[np.ndarray, "episodes"]:
        """First row of every episode."""
        return np.append(0, np.flatnonzero(self.episodes.last)[:-1] + 1)

    @cached_property
    def inner(self) -> Int[np.ndarray, "sampled"]:
        """Rows of `inner_rows` in these episodes."""
        return inner_rows(self.episodes.last)

    @cached_property
    def scaled(self) -> tuple[Float[np.ndarray, "columns"], Float[np.ndarray, "columns"]]:
        """Mean and standard deviation of the observations over a sample, in float64."""
        return self._sample.mean(0), self._sample.std(0)

    @cached_property
    def usual(self) -> Float[np.ndarray, "2 columns"]:
        """Within which bounds 98 % of a sample of the observations lie."""
        return np.quantile(self._sample, (0.01, 0.99), axis=0)

    @cached_property
    def _sample(self) -> Float[np.ndarray, "sampled columns"]:
        x = self.columns.observation
        return x[:: max(1, len(x) // SAMPLE)].astype(np.float64)

    @cached_property
    def digests(self) -> UInt64[np.ndarray, "rows"]:
        """A 64-bit random projection of every row: equal for equal rows, else hardly ever."""
        parts = (self.columns.observation, self.columns.action, self.columns.reward[:, None])
        generator = np.random.default_rng(0)
        weights = [
            generator.integers(1, 2**63, x.shape[1], np.uint64) | np.uint64(1) for x in parts
        ]
        digest = np.zeros(len(self.columns.reward), np.uint64)
        for start in range(0, len(digest), _BLOCK):  # a block at a time stays in the cache
            block = slice(start, start + _BLOCK)
            for x, weight in zip(parts, weights, strict=True):
                words = np.ascontiguousarray(x[block]).view(np.uint32).astype(np.uint64)
                digest[block] += np.einsum("ij,j->i", words, weight)  # wraps around
        return digest


def inner_rows(last: Bool[np.ndarray, "rows"]) -> Int[np.ndarray, "sampled"]:
    """Rows with two more of their episode on either side; evenly spread, about `SAMPLE`."""
    if len(last) < 6:
        return np.zeros(0, np.int64)
    ended = last[:-4] | last[1:-3] | last[2:-2] | last[3:-1]
    rows = np.flatnonzero(~ended) + 2
    return rows[:: max(1, len(rows) // SAMPLE)]


def constant_of(material: Material, key: str) -> str:
    """The constant columns of a key, if there are others too."""
    low, high = material.extremes[key]
    constant = np.flatnonzero(low == high)
    if not 0 < len(constant) < len(low):
        return ""
    return first_columns(constant)


def first_columns(columns: Sequence[int] | Int[np.ndarray, "columns"]) -> str:
    """Eight of the columns at most, for a sentence."""
    return ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
