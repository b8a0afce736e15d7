"""Scoring policies in real simulators, while training goes on.

All episodes of all seeds and policy modes run in lockstep, so that one
compiled call gives the actions of all of them; where their simulators would take gigabytes, and
from pixels, those of one seed after the other, or a few episodes at a time.  Starts and policy
noise depend on the seed, the update and the episode alone: an evaluation that is repeated after a
resume gives the same returns.

Policies act on the CPU, as their simulators do.  A GPU works off its programs one after the other:
there each step of an episode would wait until the updates of a whole call are done.
"""

import concurrent.futures
import contextlib
import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import jax
import numpy as np

from shared.environments.checked import make_checked
from shared.environments.rendering import Pixels
from shared.environments.scores import episode_score
from shared.environments.simulators import has_simulator
from shared.environments.units import PLAIN, Units
from shared.record.schema import MODES
from shared.training.lockstep import lockstep, play
from shared.training.seeds import copied

PATIENCE = 0.2
"""Seconds between two looks whether an evaluation is still waited for."""


def evaluate(
    algorithm,
    state,
    environment: str | None,
    *,
    seeds: tuple[int, ...],
    step: int,
    episodes: int = 10,
    sampled: bool = True,
    pixels: Pixels | None = None,
    units: Units = PLAIN,
    simulators: list | None = None,
    watch: Callable | None = None,
    is_over: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Play `episodes` episodes of each seed in every mode to their end.

    Arguments:
        algorithm: whose policy plays.
        state: leading axis = seeds.
        environment: name of the task, e.g. `hopper`.
        seeds: numbers of the seeds, in the order of the state.
        step: the update that is scored; it picks the starts and the noise.
        episodes: of each seed and mode.
        sampled: play sampled actions, too, and not only the policy's mode.
        pixels: what the policy sees; None = states.
        units: those of the run's data.
        simulators: as many as `lockstep` says, of `make_checked`, to re-use.
        watch: called with every step: number of the row that is returned for its episode,
            observation and action as the policy has them, reward, terminal.
        is_over: asked before every step whether nobody waits for the rows any more.

    Returns:
        One row an episode: step, seed, mode, episode, return, score, length.

    Raises:
        CancelledError: `is_over` said so.
    """
    size, modes = lockstep(environment, len(seeds), episodes, pixels), played_modes(sampled)
    make = partial(make_checked, environment, pixels=pixels, units=units)
    simulators = simulators or [make() for _ in range(size.simulators(modes))]
    cpu = acting_device()
    if cpu is not None:
        state = jax.device_put(state, cpu)
    rows: dict[int, dict[str, Any]] = {}
    for first in range(0, len(seeds), size.seeds):
        part, own = seeds[first : first + size.seeds], state
        if len(part) < len(seeds):  # nothing to cut else, which would be compiled as well
            own = jax.tree.map(lambda x, i=first: x[i : i + size.seeds], state)
        for begin in range(0, episodes, size.episodes):
            some = range(begin, begin + size.episodes)
            whose = [*itertools.product(range(first, first + len(part)), range(len(modes)), some)]
            numbers = [(s * len(modes) + m) * episodes + e for s, m, e in whose]
            with contextlib.nullcontext() if cpu is None else jax.default_device(cpu):
                played = play(
                    algorithm,
                    own,
                    simulators,
                    seeds=part,
                    modes=modes,
                    step=step,
                    some=some,
                    episodes=episodes,
                    dtype=np.float32 if pixels is None else np.uint8,
                    units=units,
                    watch=_ignore if watch is None else partial(_tell, watch, numbers),
                    is_over=is_over or (lambda: False),
                )
            for row, (s, m, e), (return_, length, ended) in zip(
                numbers, whose, played, strict=True
            ):
                rows[row] = {
                    "step": step,
                    "seed": seeds[s],
                    "mode": modes[m],
                    "episode": e,
                    "return": return_,
                    "score": episode_score(str(environment), return_, ended),
                    "length": length,
                }
    return [rows[row] for row in sorted(rows)]


def played_modes(sampled: bool) -> tuple[str, ...]:
    """Those of `MODES` that an evaluation plays."""
    return MODES if sampled else MODES[:1]


def acting_device():
    """The CPU, where JAX computes on something else; None if it is the default, or hidden."""
    if jax.default_backend() == "cpu":
        return None
    with contextlib.suppress(RuntimeError):  # JAX_PLATFORMS names the GPU alone
        return jax.local_devices(backend="cpu")[0]
    return None


def _ignore(*_) -> None:
    """Nobody watches."""


def _tell(watch: Callable, numbers: list[int], i: int, *step) -> None:
    """`watch` hears of a simulator's step by the number of its row."""
    watch(numbers[i], *step)


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
        sampled: bool = True,
        pixels: Pixels | None = None,
        units: Units = PLAIN,
    ):
        size = lockstep(environment, len(seeds), episodes, pixels)
        count = size.simulators(played_modes(sampled)) if has_simulator(environment) else 0
        self._pool, self._closed = ThreadPoolExecutor(1, thread_name_prefix="evaluation"), Event()
        # Simulators that draw belong to the thread that makes them.
        make = partial(make_checked, environment, pixels=pixels, units=units)
        self._simulators = self._pool.submit(lambda: [make() for _ in range(count)]).result()
        self._evaluate = partial(
            evaluate,
            algorithm,
            environment=environment,
            seeds=seeds,
            episodes=episodes,
            sampled=sampled,
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
