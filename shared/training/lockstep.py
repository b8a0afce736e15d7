"""Episodes that are played side by side, one compiled call a step for all their actions.

Starts and policy noise depend on the seed, the update and the episode alone: an evaluation that is
repeated after a resume gives the same returns.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.environments.rendering import Pixels
from shared.environments.tasks import find_task
from shared.environments.units import Units
from shared.training.program import seed_keys

EVALUATION = 1_000_003
"""Folded into a seed's key to keep evaluation noise apart from training noise."""
MEGABYTES = 2048
"""That simulators may take together; the 100 that play 25 episodes of two seeds took 18 GB."""


class Lockstep(NamedTuple):
    """How many seeds, and how many episodes of each and of every mode, are played at a time."""

    seeds: int
    episodes: int

    def simulators(self, modes: tuple[str, ...]) -> int:
        """That it needs to play these modes."""
        return self.seeds * len(modes) * self.episodes


def lockstep(
    environment: str | None, seeds: int, episodes: int, pixels: Pixels | None = None
) -> Lockstep:
    """All at a time if their simulators fit in `MEGABYTES`, else fewer, of one seed as from pixels.

    The size of the compiled call is part of the result's last bits, so it depends on nothing else.
    """
    task = find_task(environment)
    most = MEGABYTES // (2 * (1 if task is None else task.megabytes))
    if pixels is None and seeds * episodes <= most:
        return Lockstep(seeds, episodes)
    return Lockstep(1, max(n for n in range(1, episodes + 1) if episodes % n == 0 and n <= most))


@partial(jax.jit, static_argnames=("algorithm", "modes", "episodes"))
def _initial_memory(algorithm, modes, episodes, state):
    def one(state):
        memory = algorithm.initial_memory(state)
        shape = modes, episodes
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *jnp.shape(x))), memory)

    return jax.vmap(one)(state)


@partial(jax.jit, static_argnames=("algorithm",))
def _rewarded(algorithm, memory, reward):
    """Memories of every (seed, mode, episode) after a reward of shape (seeds, modes, episodes)."""
    function = algorithm.rewarded
    for _ in range(reward.ndim):
        function = jax.vmap(function)
    return function(memory, reward)


@partial(jax.jit, static_argnames=("algorithm", "modes", "episodes"))
def _act(algorithm, modes, state, memory, observation, keys, step, time, first, episodes):
    """Actions of every (seed, mode, episode): observation has these axes first.

    They are those of all `episodes` from `first` on.
    """

    def one_seed(state, memory, observation, key):
        for number in (EVALUATION, step, time):
            key = jax.random.fold_in(key, number)

        def act(memory, observation, key):
            return algorithm.act(state, memory, observation, key=key)

        every = jax.random.split(key, episodes)
        own = jax.lax.dynamic_slice_in_dim(every, first, observation.shape[1])
        acted = []
        for m, mode in enumerate(modes):
            part = jax.tree.map(lambda x, m=m: x[m], memory)
            if mode == "sampled":
                acted.append(jax.vmap(act)(part, observation[m], own))
            else:
                acted.append(jax.vmap(partial(act, key=None))(part, observation[m]))
        return jax.tree.map(lambda *x: jnp.stack(x), *acted)

    return jax.vmap(one_seed)(state, memory, observation, keys)


def play(
    algorithm,
    state,
    simulators: list,
    *,
    seeds: tuple[int, ...],
    modes: tuple[str, ...],
    step: int,
    some: range,
    episodes: int,
    dtype: type,
    units: Units,
    watch: Callable,
    is_over: Callable[[], bool],
) -> list[tuple[float, int, bool]]:
    """Return, length and end (is it a terminal?) of every (seed, mode, episode), in this order.

    Each has one of the `simulators`; `some` of an evaluation's `episodes` are played, and seen as
    numbers of this `dtype`, whatever a simulator's own are.  What else there is means what it does
    of `evaluate`, but that `watch` gets the number of the simulator.
    """
    whose = [(seed, episode) for seed in seeds for _ in modes for episode in some]
    starts = [
        units.seen(simulator.reset(seed=_start_seed(seed, step, episode))[0])
        for simulator, (seed, episode) in zip(simulators, whose, strict=True)
    ]
    observations = np.stack(starts).astype(dtype)
    shape = (len(seeds), len(modes), len(some), *observations.shape[1:])
    memory = _initial_memory(algorithm, len(modes), len(some), state)
    keys = seed_keys(seeds)
    returns, lengths = np.zeros(len(whose)), np.zeros(len(whose), int)
    alive, time = np.ones(len(whose), bool), 0
    ended = np.zeros(len(whose), bool)
    while alive.any():
        if is_over():
            raise CancelledError
        seen = observations.reshape(shape)
        actions, memory = _act(
            algorithm, modes, state, memory, seen, keys, step, time, some.start, episodes=episodes
        )
        actions = np.asarray(actions).reshape(len(whose), -1)
        commands, rewards = units.command(actions), np.zeros(len(whose), np.float32)
        for i in np.flatnonzero(alive):
            before = observations[i].copy()
            following, reward, terminal, timeout, _ = simulators[i].step(commands[i])
            observations[i] = units.seen(following)
            rewards[i] = reward
            returns[i] += reward
            lengths[i] += 1
            ended[i], alive[i] = terminal, not (terminal or timeout)
            watch(int(i), before, actions[i], reward, terminal)
        if jax.tree.leaves(memory):
            memory = _rewarded(algorithm, memory, rewards.reshape(shape[:3]))
        time += 1
    return list(zip(returns.tolist(), lengths.tolist(), ended.tolist(), strict=True))


def _start_seed(seed: int, step: int, episode: int) -> int:
    """Both modes of a seed get the same starts, so that their difference is the policy's."""
    return int(np.random.SeedSequence([seed, step, episode]).generate_state(1)[0])
