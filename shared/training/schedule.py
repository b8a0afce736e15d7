"""When training pauses between compiled updates, and what is due there."""

from collections.abc import Iterator

from shared.algorithm import Phase
from shared.training.settings import RunSettings


def due(step: int, phase: Phase, every: int) -> bool:
    """Is `step` a multiple of `every`, or the phase's last?"""
    return step == phase.steps or (every > 0 and step % every == 0)


def scored(phase: Phase, settings: RunSettings) -> bool:
    """Does somebody act during this phase whose scores belong to the curve?"""
    return phase.evaluates or (settings.evaluate_first and phase.shows is not None)


def stretches(step: int, phase: Phase, settings: RunSettings) -> Iterator[tuple[int, int]]:
    """From `step` on to the end of a phase, in pieces between which something may be due."""
    while step < phase.steps:
        first, step = step, next_stop(step, phase, settings)
        yield first, step


def next_stop(step: int, phase: Phase, settings: RunSettings) -> int:
    """The next step at which the compiled updates must pause."""
    intervals = [settings.steps_per_call, settings.save_every]
    if phase.refresh is not None:
        intervals.append(phase.refresh_every)
    if scored(phase, settings):
        intervals.append(settings.evaluate_every)
    if phase.explore is not None:
        intervals.append(settings.online_block)
    return min(phase.steps, *(step - step % i + i for i in intervals if i > 0))
