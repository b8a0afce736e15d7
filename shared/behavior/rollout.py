"""One recorded episode: the unit of every collected data set and of every evaluation."""

from collections.abc import Callable

import numpy as np

from shared.behavior.policies import BehaviorPolicy
from shared.behavior.simulator import AnySimulator, make_simulator

Episode = dict[str, np.ndarray]


def run_episode(
    simulator: AnySimulator,
    policy: BehaviorPolicy,
    seed: np.random.SeedSequence,
    *,
    sampled: bool = True,
    watch: Callable[[], None] | None = None,
) -> Episode:
    """Run one whole episode and return its rows in D4RL's names and types.

    Arguments:
        simulator: of the policy's environment; it is reset here.
        policy: acts on float32 observations.
        seed: the reset and the action noise depend on it and on nothing else.
        sampled: draw actions, or take the deterministic ones.
        watch: called at every observation, the last one included (a camera).

    Returns:
        `observations`, `actions`, `rewards`, `next_observations`, `infos/qpos`,
        `infos/qvel` as float32 and `terminals`, `timeouts` as bool, one row a
        step.  qpos and qvel belong to the observation, not to the next one.
    """
    reset_seed, noise_seed = seed.spawn(2)
    horizon, (own_qpos, own_qvel) = simulator.horizon, simulator.positions()
    shape = (horizon, simulator.action_size)
    noise = policy.draw_noise(shape, np.random.default_rng(noise_seed)) if sampled else None
    observations = np.empty((horizon + 1, simulator.observation_size), np.float32)
    actions = np.empty(shape, np.float32)
    rewards = np.empty(horizon, np.float32)
    qpos = np.empty((horizon, own_qpos.size), np.float32)
    qvel = np.empty((horizon, own_qvel.size), np.float32)
    observations[0] = simulator.reset(reset_seed)
    watch = watch or _look_away
    watch()
    for t in range(horizon):
        qpos[t], qvel[t] = simulator.positions()
        action = policy.act(observations[t], noise if noise is None else noise[t])
        outcome = simulator.step(action)
        actions[t], rewards[t], observations[t + 1] = (
            action,
            outcome.reward,
            outcome.observation,
        )
        watch()
        if outcome.terminal or outcome.timeout:
            break
    n = t + 1
    terminals, timeouts = np.zeros(n, bool), np.zeros(n, bool)
    terminals[-1], timeouts[-1] = outcome.terminal, outcome.timeout
    return {
        "observations": observations[:n],
        "actions": actions[:n],
        "rewards": rewards[:n],
        "terminals": terminals,
        "timeouts": timeouts,
        "next_observations": observations[1 : n + 1],
        "infos/qpos": qpos[:n],
        "infos/qvel": qvel[:n],
    }


def _look_away() -> None:
    pass


def measure_returns(
    policy: BehaviorPolicy, episodes: int, *, seed: int, sampled: bool
) -> np.ndarray:
    """Raw returns of whole episodes, (episodes,) float64; episode i depends on `(seed, i)`."""
    simulator = make_simulator(policy.environment)
    seeds = [np.random.SeedSequence([seed, i]) for i in range(episodes)]
    runs = [run_episode(simulator, policy, s, sampled=sampled) for s in seeds]
    return np.array([np.sum(run["rewards"], dtype=np.float64) for run in runs])
