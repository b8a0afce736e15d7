"""How far a critic is from the truth: the metrics of PLAS (Zhou et al., 2020), section 5.4.

    error = Q(s_t, a_t) - G_t,   G_t = sum_k discount^k (scale · r_{t+k} + shift)

over the transitions of rollouts with the deterministic policy.  Q is the algorithm's
`critic_value`, G_t the discounted return met in the simulator, of rewards as the critics learned
them, with the discount of the phase that the checkpoint is of: its `learned_reward`.

A time limit cuts G_t off, and would make every critic overestimate.  So of an episode
that ended by it only rows with enough steps behind them count: what is missing then
weighs less than `CUT` (or is the whole episode, where that is too short).
"""

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from shared.algorithm import LearnedReward
from shared.environments.units import Units
from shared.errors import RunError
from shared.runs.trained import load_state
from shared.training.evaluation import evaluate
from shared.training.online import is_online
from shared.training.seeds import of_seed

CUT = 0.01


class Rollout(NamedTuple):
    """One episode; leading axis = steps."""

    observation: Float[np.ndarray, "steps observation"]
    action: Float[np.ndarray, "steps action"]
    reward: Float[np.ndarray, "steps"]
    terminal: bool


def q_errors(path: str | Path, *, episodes: int = 10) -> list[dict[str, Any]]:
    """The metrics of a run's last checkpoint, one row a seed.

    Returns:
        Rows of `seed, rows, discount, q, return_` (means), `mse`, `overestimated` (share of rows),
        `overestimation` and `underestimation` (means of the positive and of the negative
        errors; 0 where there are none).

    Raises:
        RunError: the algorithm has no critic of actions.
    """
    plan, record, algorithm, state, position = load_state(Path(path))
    states = [of_seed(state, i) for i in range(len(plan.seeds))]
    fine_tuned = is_online(algorithm, position)
    learned = [algorithm.learned_reward(one, online=fine_tuned) for one in states]
    rewards = [reward for reward in learned if reward is not None]
    if len(rewards) < len(learned):
        raise RunError(f"{path}: '{plan.algorithm}' has no critic of actions to be judged.")
    rollouts = play(
        algorithm,
        state,
        record["environment"],
        seeds=plan.seeds,
        step=position["global_step"],
        episodes=episodes,
        units=Units.of(record),
    )
    rows = []
    for i, seed in enumerate(plan.seeds):
        found = [compare(algorithm, states[i], rollout, rewards[i]) for rollout in rollouts[i]]
        q, return_ = (np.concatenate(x) for x in zip(*found, strict=True))
        discount = float(rewards[i].discount)
        rows.append({"seed": seed, "rows": len(q), "discount": discount, **metrics(q, return_)})
    return rows


def play(algorithm, state, environment: str, *, episodes: int, **keywords) -> list[list[Rollout]]:
    """Deterministic episodes of every seed, step by step; keywords as of `evaluate`."""
    count = len(keywords["seeds"])
    steps: list[list] = [[] for _ in range(count * 2 * episodes)]
    evaluate(
        algorithm,
        state,
        environment,
        episodes=episodes,
        watch=lambda i, *step: steps[i].append(step),
        **keywords,
    )
    columns = [list(zip(*own, strict=True)) for own in steps]
    rollouts = [
        Rollout(*(np.stack(column).astype(np.float32) for column in c[:3]), bool(c[3][-1]))
        for c in columns
    ]
    return [rollouts[2 * i * episodes :][:episodes] for i in range(count)]


def compare(
    algorithm, state, rollout: Rollout, learned: LearnedReward
) -> tuple[np.ndarray, np.ndarray]:
    """Q and G of the rows of one episode that count."""
    discount, scale, shift = (float(x) for x in learned)
    return_ = discounted_returns(scale * rollout.reward + shift, discount)
    count = len(return_)
    if not rollout.terminal:
        needed = math.ceil(math.log(CUT) / math.log(discount)) if discount < 1 else count
        count = max(1, count - needed)
    q = _critic_values(algorithm, state, *_padded(rollout.observation, rollout.action))
    return np.asarray(q, np.float64)[:count], return_[:count]


def discounted_returns(reward: np.ndarray, discount: float) -> np.ndarray:
    """G_t of every step of an episode, in float64."""
    returns, total = np.empty(len(reward)), 0.0
    for t in reversed(range(len(reward))):
        total = float(reward[t]) + discount * total
        returns[t] = total
    return returns


def metrics(q: np.ndarray, return_: np.ndarray) -> dict[str, float]:
    """The four metrics of figure 5, and the means of Q and of the returns."""
    error = q - return_
    over, under = error[error > 0], error[error < 0]
    return {
        "q": float(q.mean()),
        "return_": float(return_.mean()),
        "mse": float(np.mean(error**2)),
        "overestimated": float(np.mean(error > 0)),
        "overestimation": float(over.mean()) if len(over) else 0.0,
        "underestimation": float(under.mean()) if len(under) else 0.0,
    }


def _padded(*columns: np.ndarray) -> list[np.ndarray]:
    """Up to a multiple of 1000 rows, so that few lengths have to be compiled."""
    missing = -len(columns[0]) % 1000
    return [np.pad(x, ((0, missing), (0, 0))) for x in columns]


@partial(jax.jit, static_argnames=("algorithm",))
def _critic_values(algorithm, state, observation, action):
    return jax.vmap(algorithm.critic_value, (None, 0, 0))(state, observation, action)
