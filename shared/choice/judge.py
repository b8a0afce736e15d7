"""Everything that recorded data say of a policy, without a simulator."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.choice import regression
from shared.choice.candidates import Candidate
from shared.choice.decisions import BLOCK, decisions, decisions_among
from shared.choice.distance import Distances
from shared.choice.estimate import Estimate, Evaluator, discount_of, return_per_value
from shared.choice.policy_rows import completed_returns
from shared.datasets.frames import from_transitions
from shared.datasets.row_data import RowData
from shared.environments.scores import normalized_score
from shared.environments.tasks import find_task
from shared.errors import RunError


class Verdict(NamedTuple):
    """The criteria of one policy; None where it cannot be told.

    Attributes:
        label: of the candidate.
        run: its folder.
        seed: which of the run's seeds.
        unseen: did training leave out the episodes that it is judged on?
        action_error: root mean square of pi(s) - a over the judged rows.
        log_prob: mean log-density of the recorded actions there, nats.
        q: mean Q(s, pi(s)) of its own critics at the starts of episodes.
        q_data: mean discounted return of the data there, as these critics learn rewards.
        q_excess: their difference in standard deviations of the data's discounted returns.
        actions_beyond: share of its actions farther from the data than 99 % of recorded ones.
        actions_distance: median distance of its actions from the data.
        states_beyond: share of the states it would reach that are as far away.
        estimate: of fitted Q evaluation; None if it was not asked for.
        return_: the estimate as a raw return of an episode, with its interval.
        score: the same as a normalised score.
    """

    label: str
    run: str
    seed: int
    unseen: bool
    action_error: float
    log_prob: float | None
    q: float | None
    q_data: float | None
    q_excess: float | None
    actions_beyond: float
    actions_distance: float
    states_beyond: float
    estimate: Estimate | None
    return_: tuple[float, float, float] | None
    score: tuple[float, float, float] | None


class Judge:
    """Judges policies of the same data.

    Arguments:
        data: of all of them.
        share: of the episodes that they are judged on.
        discount: of fitted Q evaluation; None looks as far as the longest episode is long.
        seed: of everything that is drawn.
        options: `regression`, `fitted` (dictionaries of their hyperparameters).
    """

    def __init__(
        self,
        data: RowData,
        *,
        share: float = 0.1,
        discount: float | None = None,
        seed: int = 0,
        regression_options: dict[str, Any] | None = None,
        fitted_options: dict[str, Any] | None = None,
    ):
        self.data, self.share = data, share
        self.frames = from_transitions(data.transitions, data.episode)
        # Frames number the episodes that have rows one after the other.
        number = np.searchsorted(np.unique(data.episode), data.judged_episodes(share))
        self.held = np.isin(self.frames.episode, number)
        self.rows = np.flatnonzero(self.frames.acted & self.held)
        if not len(self.rows) or self.held.all():
            raise RunError(
                f"{data.path}: has a single episode, so that none can judge; record more of them."
            )
        self.first = np.flatnonzero((np.diff(self.frames.episode, prepend=-1) > 0) & self.held)
        options = {"seed": seed, **(regression_options or {})}
        trained = np.flatnonzero(self.frames.acted & ~self.held)
        state, action = np.asarray(self.frames.state), self.frames.action
        model, of_clone = regression.fit(state[trained], action[trained], **options)
        clone = Candidate("clone", data.path, seed, model, of_clone, {}, share)
        self.clone_error = self.error(self.decided(clone, everywhere=False).clip(-1, 1))
        self.clone_log_prob = self.likelihood(model, of_clone)
        self.distances = Distances(self.frames, self.held, **options)
        self.discount = discount or discount_of(int(data.episode_lengths.max()))
        options = {"seed": seed, **(fitted_options or {})}
        self.evaluator = Evaluator(self.frames, data.spec, self.discount, **options)
        self.per_value = return_per_value(self.frames, self.discount)

    def __call__(self, one: Candidate, *, fit: bool = True) -> Verdict:
        """The verdict; without `fit` fitted Q evaluation, which takes longest, is left out."""
        decided = self.decided(one, everywhere=fit)
        actions = self.distances.of_actions(decided)
        states = self.distances.of_states(one.algorithm, one.state)
        estimate = self.evaluator(decided) if fit else None
        return_ = None if estimate is None else self.in_returns(estimate)
        return Verdict(
            one.label,
            str(one.run),
            one.seed,
            one.held_out >= self.share,
            self.error(decided),
            self.likelihood(one.algorithm, one.state),
            *self.own_values(one.algorithm, one.state, decided),
            actions["beyond"],
            actions["median"],
            states["beyond"],
            estimate,
            return_,
            self.in_scores(return_),
        )

    def decided(self, one: Candidate, *, everywhere: bool) -> np.ndarray:
        """What the policy would do at every frame, or (elsewhere 0) at those that judge alone."""
        if everywhere:
            return decisions(one.algorithm, one.state, self.frames)
        return decisions_among(one.algorithm, one.state, self.frames, self.held)

    def error(self, decided: np.ndarray) -> float:
        """Root mean square of the difference to the recorded actions of the judged rows."""
        difference = decided[self.rows] - self.frames.action[self.rows]
        return float(np.sqrt(np.mean(difference**2, dtype=np.float64)))

    def likelihood(self, algorithm, state) -> float | None:
        """Mean log-density of the recorded actions of the judged rows; None if there is none."""
        rows = (np.asarray(self.frames.state)[self.rows], self.frames.action[self.rows])
        found = _log_probs(algorithm, state, *map(jnp.asarray, rows))
        return None if found is None else float(np.asarray(found, np.float64).mean())

    def own_values(self, algorithm, state, decided) -> tuple[float | None, ...]:
        """`q, q_data, q_excess` of the policy's own critics at the starts of episodes."""
        learned = algorithm.learned_reward(state)
        if learned is None:
            return None, None, None
        discount, scale, shift = (float(x) for x in learned)
        acted, first = self.frames.acted, self.first
        reward = scale * np.asarray(self.frames.reward[acted], np.float64) + shift
        columns = (self.frames.terminal[acted], self.frames.episode[acted])
        returns = np.zeros(len(acted))
        returns[acted] = completed_returns(reward, *columns, discount)
        rows = (np.asarray(self.frames.state)[first], decided[first])
        q = float(np.mean(_own_values(algorithm, state, *map(jnp.asarray, rows))))
        data = float(returns[first].mean())
        return q, data, (q - data) / max(float(returns[acted].std()), 1e-9)

    def in_returns(self, estimate: Estimate) -> tuple[float, float, float]:
        """Estimate and interval as raw returns of an episode."""
        low, high = estimate.interval
        return self.per_value * estimate.value, self.per_value * low, self.per_value * high

    def in_scores(self, returns) -> tuple[float, float, float] | None:
        """The same as normalised scores; None of a task without reference returns."""
        name = self.data.environment
        if returns is None or name is None or find_task(name) is None:
            return None
        mean, low, high = (float(normalized_score(name, x)) for x in returns)
        return (mean, low, high) if np.isfinite(mean) else None


@partial(jax.jit, static_argnames=("algorithm",))
def _log_probs(algorithm, state, observation, action):
    def one(row):
        return algorithm.log_prob(state, *row)

    return jax.lax.map(one, (observation, action), batch_size=BLOCK)


@partial(jax.jit, static_argnames=("algorithm",))
def _own_values(algorithm, state, observation, action):
    def one(row):
        return algorithm.critic_value(state, *row)

    return jax.lax.map(one, (observation, action), batch_size=BLOCK)
