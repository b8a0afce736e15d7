"""From fitted critics to an estimate of a policy's return, and how sure of it the data are."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from shared.choice.fitted_q import DEFAULTS, FittedQ, State, fit_policy, fit_returns, values_at
from shared.choice.policy_rows import completed_returns, policy_rows
from shared.datasets.frames import Frames
from shared.types import Spec

DRAWS = 2000
"""Repetitions of the bootstrap."""
TAILS = (0.025, 0.975)


class Estimate(NamedTuple):
    """What a policy is worth at the starts of episodes.

    Attributes:
        value: discounted sum of raw rewards, the mean over starts and members.
        interval: 95 % of it, by the bootstrap over members and starts.
        spread: standard deviation of the members' means: where it is large, the data say little.
        draws: of the bootstrap.  They are paired: of two policies on the same data draw i is of
            the same member and the same starts.
    """

    value: float
    interval: tuple[float, float]
    spread: float
    draws: Float[np.ndarray, "draws"]


class Evaluator:
    """Fitted Q evaluation of several policies on the same frames.

    Arguments:
        frames: of whole episodes, with state observations.
        spec: of the same data.
        discount: of future rewards.
        options: of `FittedQ`; see `DEFAULTS`.
        seed: of weights, batches and bootstrap; the same for all policies.
    """

    def __init__(
        self,
        frames: Frames,
        spec: Spec,
        discount: float,
        *,
        seed: int = 0,
        **options: Any,
    ):
        self.frames, self.spec, self.seed = frames, spec, seed
        self.fitted = FittedQ(**DEFAULTS | options, discount=discount)
        self._begun: State | None = None

    def __call__(self, decided: Float[np.ndarray, "frames action"]) -> Estimate:
        """The value of the policy that `decided` so at every frame."""
        members = self.fitted.members
        options = {"seed": self.seed}
        rows = policy_rows(self.frames, decided, self.fitted.discount, members, **options)
        if self._begun is None:
            self._begun = fit_returns(self.fitted, rows, self.spec, **options)
        state = fit_policy(self.fitted, self._begun, rows, **options)
        start = np.flatnonzero(np.diff(self.frames.episode, prepend=-1))
        values = values_at(self.fitted, state, np.asarray(self.frames.state)[start], decided[start])
        return summarize(values, seed=self.seed)


def summarize(values: Float[np.ndarray, "members starts"], *, seed: int = 0) -> Estimate:
    """Mean and bootstrap interval of the members' values at the starts.

    A draw is one member, trained on its own weights of the episodes, at starts drawn again.
    """
    rng = np.random.default_rng(seed)
    members, starts = values.shape
    member = rng.integers(members, size=DRAWS)
    count = rng.multinomial(starts, np.full(starts, 1 / starts), size=DRAWS)
    draws = np.sum(values[member] * count, axis=1) / starts
    low, high = (float(x) for x in np.quantile(draws, TAILS))
    means = values.mean(axis=1)
    return Estimate(float(means.mean()), (low, high), float(means.std()), draws)


def discount_of(horizon: int) -> float:
    """The discount that looks as far as an episode is long."""
    return 1 - 1 / max(horizon, 2)


def return_per_value(frames: Frames, discount: float) -> float:
    """Raw return of an episode for each unit of its discounted return, by the data.

    The slope of the straight line through the origin that fits the episodes best (least squares).
    """
    acted = frames.acted
    episode = np.unique(frames.episode, return_inverse=True)[1][acted]
    reward = np.asarray(frames.reward[acted], np.float64)
    discounted = completed_returns(reward, frames.terminal[acted], episode, discount)
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    raw, discounted = np.bincount(episode, reward), discounted[first]
    return float(raw @ discounted / (discounted @ discounted))
