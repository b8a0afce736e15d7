"""Scoring policies in real simulators, while training goes on.

All episodes of all seeds and both policy modes run in lockstep, so that one
compiled call gives the actions of all of them; from pixels, those of one seed after the other,
for a simulator that draws holds tens of megabytes.  Starts and policy noise depend
on the seed, the update and the episode alone: an evaluation that is repeated
after a resume gives the same returns.
"""

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from shared.environments.checked import make_checked
from shared.environments.rendering import Pixels
from shared.environments.scores import episode_score
from shared.environments.simulators import has_simulator
from shared.environments.units import PLAIN, Units
from shared.record.schema import MODES
from shared.training.program import seed_keys
from shared.training.seeds import copied

PATIENCE = 0.2
"""Seconds between two looks whether an evaluation is still waited for."""
EVALUATION = 1_000_003
"""Folded into a seed's key to keep evaluation noise apart from training noise."""


@partial(jax.jit, static_argnames=("algorithm", "episodes"))
def _initial_memory(algorithm, episodes, state):
    def one(state):
        memory = algorithm.initial_memory(state)
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (2, episodes, *jnp.shape(x))), memory)

    return jax.vmap(one)(state)


@partial(jax.jit, static_argnames=("algorithm",))
def _rewarded(algorithm, memory, reward):
    """Memories of every (seed, mode, episode) after a reward of shape (seeds, 2, episodes)."""
    function = algorithm.rewarded
    for _ in range(reward.ndim):
        function = jax.vmap(function)
    return function(memory, reward)


@partial(jax.jit, static_argnames=("algorithm",))
def _act(algorithm, state, memory, observation, keys, step, time):
    """Actions of every (seed, mode, episode): observation has these axes first."""

    def one_seed(state, memory, observation, key):
        for number in (EVALUATION, step, time):
            key = jax.random.fold_in(key, number)

        def act(memory, observation, key):
            return algorithm.act(state, memory, observation, key=key)

        first, second = (jax.tree.map(lambda x, m=m: x[m], memory) for m in (0, 1))
        mode = jax.vmap(partial(act, key=None))(first, observation[0])
        episode_keys = jax.random.split(key, observation.shape[1])
        sample = jax.vmap(act)(second, observation[1], episode_keys)
        return jax.tree.map(lambda a, b: jnp.stack([a, b]), mode, sample)

    return jax.vmap(one_seed)(state, memory, observation, keys)


def evaluate(
    algorithm,
    state,
    environment: str | None,
    *,
    seeds: tuple[int, ...],
    step: int,
    episodes: int = 10,
    pixels: Pixels | None = None,
    units: Units = PLAIN,
    simulators: list | None = None,
    watch: Callable | None = None,
    is_over: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Play `episodes` episodes of each seed in both modes to their end.

    Arguments:
        algorithm: whose policy plays.
        state: leading axis = seeds.
        environment: name of the task, e.g. `hopper`.
        seeds: numbers of the seeds, in the order of the state.
        step: the update that is scored; it picks the starts and the noise.
        episodes: of each seed and mode.
        pixels: what the policy sees; None = states.
        units: those of the run's data.
        simulators: `len(seeds) · 2 · episodes` of `make_checked` to re-use.
        watch: called with every step: number of the row that is returned for its episode,
            observation and action as the policy has them, reward, terminal.
        is_over: asked before every step whether nobody waits for the rows any more.

    Returns:
        One row an episode: step, seed, mode, episode, return, score, length.

    Raises:
        CancelledError: `is_over` said so.
    """
    index = [(s, m, e) for s in range(len(seeds)) for m in range(2) for e in range(episodes)]
    make = partial(make_checked, environment, pixels=pixels, units=units)
    simulators = simulators or [make() for _ in index]
    starts = [
        units.seen(simulator.reset(seed=_start_seed(seeds[s], step, e))[0])
        for simulator, (s, _, e) in zip(simulators, index, strict=True)
    ]
    observations = np.stack(starts).astype(np.float32 if pixels is None else np.uint8)
    shape = (len(seeds), 2, episodes, *observations.shape[1:])
    memory = _initial_memory(algorithm, episodes, state)
    keys = seed_keys(seeds)
    returns, lengths = np.zeros(len(index)), np.zeros(len(index), int)
    alive, time = np.ones(len(index), bool), 0
    ended = np.zeros(len(index), bool)
    while alive.any():
        if is_over is not None and is_over():
            raise CancelledError
        actions, memory = _act(
            algorithm, state, memory, observations.reshape(shape), keys, step, time
        )
        actions = np.asarray(actions).reshape(len(index), -1)
        commands, rewards = units.command(actions), np.zeros(len(index), np.float32)
        for i in np.flatnonzero(alive):
            before = observations[i].copy()
            following, reward, terminal, timeout, _ = simulators[i].step(commands[i])
            observations[i] = units.seen(following)
            rewards[i] = reward
            returns[i] += reward
            lengths[i] += 1
            ended[i], alive[i] = terminal, not (terminal or timeout)
            if watch is not None:
                watch(i, before, actions[i], reward, terminal)
        if jax.tree.leaves(memory):
            memory = _rewarded(algorithm, memory, rewards.reshape(shape[:3]))
        time += 1
    return [
        {
            "step": step,
            "seed": seeds[s],
            "mode": MODES[m],
            "episode": e,
            "return": float(returns[i]),
            "score": episode_score(str(environment), float(returns[i]), bool(ended[i])),
            "length": int(lengths[i]),
        }
        for i, (s, m, e) in enumerate(index)
    ]


def _start_seed(seed: int, step: int, episode: int) -> int:
    """Both modes of a seed get the same starts, so that their difference is the policy's."""
    return int(np.random.SeedSequence([seed, step, episode]).generate_state(1)[0])


class BackgroundEvaluator:
    """Runs `evaluate` in a thread beside training; results come back in order.

    A task that no simulator scores is never evaluated.
    """

    def __init__(
        self,
        algorithm,
        environment: str | None,
        seeds: tuple[int, ...],
        episodes: int,
        pixels: Pixels | None = None,
        units: Units = PLAIN,
    ):
        self._algorithm, self._seeds = algorithm, seeds
        self._together = len(seeds) if pixels is None else 1
        count = self._together * 2 * episodes if has_simulator(environment) else 0
        self._pool, self._closed = ThreadPoolExecutor(1, thread_name_prefix="evaluation"), Event()
        # Simulators that draw belong to the thread that makes them.
        make = partial(make_checked, environment, pixels=pixels, units=units)
        self._simulators = self._pool.submit(lambda: [make() for _ in range(count)]).result()
        self._play = partial(
            evaluate,
            environment=environment,
            episodes=episodes,
            pixels=pixels,
            units=units,
            simulators=self._simulators,
            is_over=self._closed.is_set,
        )
        self._pending: list[tuple[dict, Future]] = []

    def submit(self, state, step: int, label: dict) -> None:
        """Score a private copy of `state`; `label` comes back with the rows."""
        if not self._simulators:
            return
        copy = copied(state)
        self._pending.append((label, self._pool.submit(self._evaluate, copy, step=step)))

    def _evaluate(self, state, step: int) -> list[dict[str, Any]]:
        """The rows of all seeds, as many at a time as there are simulators for."""
        if self._together == len(self._seeds):  # nothing to cut, which would be compiled as well
            return self._play(self._algorithm, state, seeds=self._seeds, step=step)
        rows = []
        for first in range(0, len(self._seeds), self._together):
            part = slice(first, first + self._together)
            own = jax.tree.map(lambda x, part=part: x[part], state)
            rows += self._play(self._algorithm, own, seeds=self._seeds[part], step=step)
        return rows

    def finished(
        self, *, wait: bool, check: Callable[[], None] = lambda: None
    ) -> list[tuple[dict, list[dict]]]:
        """(label, rows) of finished evaluations, oldest first; `wait` for all of them.

        While it waits it calls `check` again and again, which may raise.
        """
        done = []
        while self._pending and (wait or self._pending[0][1].done()):
            while not concurrent.futures.wait([self._pending[0][1]], PATIENCE).done:
                check()
            label, future = self._pending.pop(0)
            done.append((label, future.result()))
        return done

    def close(self) -> None:
        """Stop the thread and the simulators; unfinished evaluations are dropped, begun or not."""
        self._closed.set()
        for _, future in self._pending:
            future.cancel()
        self._pool.submit(lambda: [simulator.close() for simulator in self._simulators]).result()
        self._pool.shutdown(wait=True)
