"""Online fine-tuning: simulators that are played between compiled updates.

A phase with `explore` takes turns: `online_block` steps in the simulators of every
seed with the policy as it stands, then as many updates on rows drawn from the data
set and the seed's replay together.  One step counts one update.

A simulator cannot be saved, but it can be led to the same place again: what is saved
is the number of the running episode, which fixes its start, and the actions taken in
it.  A resumed run plays them again and goes on with the same bits.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from shared.algorithm import AbstractAlgorithm
from shared.datasets.replay import RingBuffer
from shared.environments.checked import make_checked, step_limit
from shared.environments.tasks import find_task
from shared.environments.units import PLAIN, Units
from shared.errors import ConfigError
from shared.training import program
from shared.training.settings import RunSettings
from shared.types import Spec, Transition

EXPLORATION = 1_000_033
"""Folded into the starts of episodes, to keep them apart from those of evaluations."""


class Shown(NamedTuple):
    """What the simulators have shown so far; leading axes = seeds, simulators of a seed.

    Attributes:
        replay: of every seed.
        episode: number of the running episode.
        elapsed: steps taken in it.
        actions: the actions of these steps; zero behind them.
    """

    replay: RingBuffer
    episode: Int[np.ndarray, "seeds simulators"]
    elapsed: Int[np.ndarray, "seeds simulators"]
    actions: Float[np.ndarray, "seeds simulators horizon action"]


def nothing_shown(
    environment: str, spec: Spec, settings: RunSettings, seeds: tuple[int, ...]
) -> Shown:
    """The start of an online phase."""
    sizes = spec.observation_size, spec.action_size
    capacity = min(settings.online_steps, settings.replay_rows)
    replay = jax.vmap(lambda _: RingBuffer.empty(capacity, *sizes))(np.arange(len(seeds)))
    shape = (len(seeds), settings.online_simulators)
    task = find_task(environment)
    assert task is not None  # it has a simulator
    limit = step_limit(task)
    actions = np.zeros((*shape, limit, sizes[1]), np.float32)
    return Shown(replay, np.zeros(shape, np.int32), np.zeros(shape, np.int32), actions)


def check(settings: RunSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        ConfigError: a block that the simulators of a seed cannot share, or the replay not hold.
    """
    block, simulators = settings.online_block, settings.online_simulators
    if simulators < 1 or block < 1 or block % simulators:
        raise ConfigError(
            f"online_block is {block}; it must be a multiple of online_simulators, which is "
            f"{simulators}, and neither may be less than 1."
        )
    if settings.replay_rows < block:
        raise ConfigError(
            f"replay_rows is {settings.replay_rows}; it must hold a block of {block} steps."
        )


def carry_on(shown: Shown) -> Shown:
    """The same as read from a checkpoint, with buffers of its own on the device."""
    return shown._replace(replay=jax.tree.map(jax.numpy.array, shown.replay))


def is_online(algorithm: AbstractAlgorithm, progress: dict[str, Any]) -> bool:
    """Does a checkpoint of this progress hold `(state, Shown)`, not the state alone?"""
    return progress["phase_index"] == len(algorithm.phases())


@partial(jax.jit, static_argnames=("algorithm",))
def _explore(algorithm, state, observation, keys, step):
    """Actions of (seeds, simulators, action size)."""
    phase, index = algorithm.online(), len(algorithm.phases())

    def one(state, observation, key):
        key = program.step_key(key, index, step, program.EXPLORE)
        own = jax.random.split(key, observation.shape[0])
        return jax.vmap(lambda o, k: phase.explore(state, o, key=k))(observation, own)

    return jax.vmap(one)(state, observation, keys)


@partial(jax.jit, donate_argnames=("replay",))
def _append(replay, rows):
    return jax.vmap(RingBuffer.append)(replay, rows)


class Player:
    """The simulators of all seeds in an online phase.

    Attributes:
        shown: everything a resumed run needs of them.
    """

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        environment: str,
        seeds: tuple[int, ...],
        shown: Shown,
        units: Units = PLAIN,
    ):
        self._algorithm, self._seeds, self._keys = algorithm, seeds, program.seed_keys(seeds)
        episode, elapsed, actions = (np.array(x) for x in shown[1:])
        self.shown = Shown(shown.replay, episode, elapsed, actions)
        self._places = list(np.ndindex(episode.shape))
        self._units = units
        self._simulators = [make_checked(environment, units=units) for _ in self._places]
        starts = [self._begin(i) for i in range(len(self._places))]
        self._observations = np.stack(starts).astype(np.float32)
        for i, place in enumerate(self._places):
            for action in actions[place][: elapsed[place]]:
                self._observations[i], *_ = self._act(i, action)

    def play(self, state, step: int, count: int) -> None:
        """`count` steps of every seed, the first of them number `step`; they join the replay."""
        blocks = []
        for time in range(count // self.shown.episode.shape[1]):
            blocks.append(self._step(state, step + time))
        seeds = len(self._seeds)

        def join(*parts):  # (seeds · simulators, ...) a step -> (seeds, steps, ...)
            stacked = np.stack([x.reshape(seeds, -1, *x.shape[1:]) for x in parts], axis=1)
            return stacked.reshape(seeds, -1, *stacked.shape[3:])

        rows = jax.tree.map(join, *blocks)
        self.shown = self.shown._replace(replay=_append(self.shown.replay, rows))

    def close(self) -> None:
        """Stop the simulators."""
        for simulator in self._simulators:
            simulator.close()

    def _step(self, state, step: int) -> Transition:
        """One step of every simulator; leading axis = simulators of all seeds."""
        shape = (*self.shown.episode.shape, -1)
        before = self._observations.copy()
        actions = _explore(self._algorithm, state, before.reshape(shape), self._keys, step)
        actions = np.asarray(actions).reshape(len(before), -1)
        after, reward = np.empty_like(before), np.empty(len(before), np.float32)
        terminal = np.empty(len(before), bool)
        for i, place in enumerate(self._places):
            after[i], reward[i], terminal[i], timeout = self._act(i, actions[i])
            self._observations[i] = after[i]
            self._note(place, actions[i])
            if terminal[i] or timeout:
                self.shown.episode[place] += 1
                self.shown.elapsed[place], self.shown.actions[place] = 0, 0.0
                self._observations[i] = self._begin(i)
        return Transition(before, actions, reward, terminal, after)

    def _act(self, i: int, action: np.ndarray):
        """One step of simulator i: observation as the policy sees it, reward, terminal, timeout."""
        observation, *outcome, _ = self._simulators[i].step(self._units.command(action))
        return self._units.seen(observation), *outcome

    def _note(self, place: tuple[int, ...], action: np.ndarray) -> None:
        self.shown.actions[place][self.shown.elapsed[place]] = action
        self.shown.elapsed[place] += 1

    def _begin(self, i: int) -> np.ndarray:
        """Start the episode that `shown` names in simulator i."""
        seed, simulator = self._places[i]
        numbers = (
            self._seeds[seed],
            EXPLORATION,
            simulator,
            int(self.shown.episode[self._places[i]]),
        )
        start = np.random.SeedSequence(numbers).generate_state(1)[0]
        return self._units.seen(self._simulators[i].reset(seed=int(start))[0])
