"""Whole episodes in order, run by one process or by several.

Episodes are numbered; workers run blocks of them ahead of need and the blocks
are consumed strictly in order, so the rows do not depend on the workers.

Where a simulator is slow every episode is kept in a file as soon as it is played, so that a
recording which was killed goes on (`keep`).
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.behavior import ant, oracles, waypoints
from shared.behavior.kept_episodes import kept
from shared.behavior.policies import load_behavior
from shared.behavior.recorders import recorders
from shared.behavior.rollout import Episode, run_episode
from shared.behavior.simulator import make_simulator
from shared.environments.simulators import make_environment

_BLOCK_ROWS = 2000  # about a quarter of a second of simulation

_simulator = cache(make_simulator)


class Segment(NamedTuple):
    """`rows` consecutive rows of a data set that come from one policy, of one's own `weights`."""

    environment: str
    policy: str
    rows: int
    weights: Path | None = None


def stream_blocks(
    segments: tuple[Segment, ...], *, seed: int, workers: int, keep: Path | None = None
) -> Iterator[tuple[Episode, int]]:
    """The rows of all segments in order, as blocks, each with its number of episodes.

    Every segment ends after exactly its rows: its last episode is cut there
    and the cut row is a timeout, unless it is terminal.

    Arguments:
        segments: of the data set.
        seed: of the recording.
        workers: processes.
        keep: a folder where finished episodes are looked for and kept.
    """
    if workers == 1:
        for index, segment in enumerate(segments):
            yield from _cut(segment, _serial(segment, seed, index, keep))
        return
    with recorders(workers) as pool:
        for index, segment in enumerate(segments):
            yield from _cut(segment, _parallel(pool, segment, (seed, index, keep), workers + 1))


def run_block(
    segment: Segment, seed: int, index: int, keep: Path | None, episodes: range
) -> list[Episode]:
    """Run the numbered episodes of segment `index`; what a worker executes."""

    def run(i: int) -> Episode:
        play = _recorder(segment.environment, segment.policy, segment.weights)
        return play(np.random.SeedSequence([seed, index, i]))

    if keep is None:
        return [run(i) for i in episodes]
    return [kept(keep / f"{index}-{i}.npz", partial(run, i)) for i in episodes]


@cache
def _recorder(
    environment: str, policy: str, weights: Path | None
) -> Callable[[np.random.SeedSequence], Episode]:
    """What records the episode of a seed."""
    if policy == waypoints.POLICY:
        return partial(waypoints.run_walk, make_environment(environment))
    if policy == oracles.POLICY:
        return oracles.Player(environment).play
    if policy in ant.POLICIES:
        return partial(ant.run_trip, make_environment(environment), policy)
    own = load_behavior(environment, policy, weights)
    return partial(run_episode, _simulator(environment), own)


def _serial(
    segment: Segment, seed: int, index: int, keep: Path | None
) -> Generator[list[Episode], None, None]:
    for i in itertools.count():
        yield run_block(segment, seed, index, keep, range(i, i + 1))


def _parallel(pool, segment, which, ahead) -> Generator[list[Episode], None, None]:
    """Blocks in order; `ahead` of them are under way.  Block sizes follow the episodes' length."""
    pending, start, size = deque(), 0, 1
    try:
        while True:
            while len(pending) < ahead:
                block = range(start, start + size)
                pending.append(pool.submit(run_block, segment, *which, block))
                start += size
            episodes = pending.popleft().result()
            rows = sum(len(e["actions"]) for e in episodes)
            size = max(1, min(100, _BLOCK_ROWS * len(episodes) // rows))
            yield episodes
    finally:
        for future in pending:
            future.cancel()


def _cut(
    segment: Segment, blocks: Generator[list[Episode], None, None]
) -> Iterator[tuple[Episode, int]]:
    remaining = segment.rows
    for episodes in blocks:
        for count, episode in enumerate(episodes, start=1):
            n = len(episode["actions"])
            if n >= remaining:
                yield _join([*episodes[: count - 1], _head(episode, remaining)]), count
                blocks.close()
                return
            remaining -= n
        yield _join(episodes), len(episodes)


def _head(episode: Episode, rows: int) -> Episode:
    head = {key: value[:rows].copy() for key, value in episode.items()}
    head["timeouts"][-1] = not head["terminals"][-1]
    return head


def _join(episodes: list[Episode]) -> Episode:
    return {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}
