"""The steps of each episode of a recording: rewards and ends, drop-outs, the rate of control."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.data.files.robots import timing
from shared.data.files.robots.layout import Layout
from shared.data.files.robots.recorded import Recording, flat, joined
from shared.data.files.robots.rewards import FEWEST, Function, rewards_of, until_over
from shared.data.files.robots.timing import Steps
from shared.data.recording.columns import Fault
from shared.errors import DataError


def clock_of(path: Path, layout: Layout, recording: Recording) -> tuple[float | None, list[Fault]]:
    """Rows a second as they were recorded, and what is wrong with the clock."""
    rate, faults = layout.recorded_rate or recording.rate, []
    if layout.time is not None:
        times = [
            flat(f"{path}: {label}", episode, layout.time)
            for label, episode in zip(recording.labels, recording.episodes, strict=True)
        ]
        rate = rate or timing.rate_of(str(path), times)
        timing.rate_of(str(path), times)
        sentence = rate and timing.told_gaps(recording.labels, times, rate, cut=layout.cut_gaps)
        faults += [Fault("drop-outs", "warning", sentence)] if sentence else []
    if layout.rate is not None and rate is None:
        raise DataError(
            f"{layout.path}: 'rate' needs to know the rate of the recording; add 'time: COLUMN' or "
            "'recorded_rate'."
        )
    if layout.rate is not None and rate is not None and layout.rate > 1.001 * rate:
        raise DataError(
            f"{layout.path}: 'rate' is {layout.rate:g} Hz, but rows were recorded at {rate:g} Hz; "
            "choose a lower one."
        )
    return rate, faults


def steps_of(
    path: Path, layout: Layout, recording: Recording, function: Function | None, rate: float | None
) -> tuple[list[Steps], list[str]]:
    """The steps of each episode, and sentences on rows that are left out."""
    found, short, behind, row = [], 0, 0, 0
    for label, episode in zip(recording.labels, recording.episodes, strict=True):
        steps = _steps(f"{path}: {label}", layout, episode, function, row)
        row += len(steps.reward)
        end = until_over(steps.terminal)
        behind += len(steps.reward) - end
        for part in _pieces(_first(steps, end), layout, rate):
            part = _at_rate(part, layout, rate)
            short += len(part.reward) < FEWEST
            found += [part] if len(part.reward) >= FEWEST else []
    notes = []
    if behind:
        notes.append(f"{behind:,} rows after the end of their episode ('terminal') are left out.")
    if short:
        notes.append(f"{short:,} episodes of fewer than {FEWEST} rows are left out.")
    if not found:
        raise DataError(f"{path}: no episode has {FEWEST} rows; record longer ones.")
    if layout.rate is not None and rate is not None and layout.rate < rate:
        what = "summed up to the next kept row" if layout.action_kind == "delta" else "kept as is"
        notes.append(
            f"of {rate:g} rows a second {layout.rate:g} are kept; the action of a kept row "
            f"({layout.action_kind}) is {what}."
        )
    return found, notes


def _steps(
    where: str,
    layout: Layout,
    episode: dict[str, np.ndarray],
    function: Function | None,
    first: int,
) -> Steps:
    observation = joined(where, episode, layout.observation or ())
    action = joined(where, episode, layout.action or ()).astype(np.float32)
    rows = len(action)
    if len(observation) != rows:
        raise DataError(
            f"{where}: has {len(observation)} observations and {rows} actions; align them."
        )
    reward, terminal = rewards_of(where, layout, function, episode, rows)
    time = None if layout.time is None else flat(where, episode, layout.time)
    if not len(reward) == len(terminal) == rows:
        raise DataError(
            f"{where}: has {rows} actions, but not as many rewards and ends; align them."
        )
    return Steps(time, observation, action, reward, terminal, first + np.arange(rows))


def _first(steps: Steps, end: int) -> Steps:
    return Steps(*(None if x is None else x[:end] for x in steps))


def _pieces(steps: Steps, layout: Layout, rate: float | None) -> Sequence[Steps]:
    """The episode, or its parts between gaps of time."""
    if not layout.cut_gaps or steps.time is None or rate is None:
        return [steps]
    cuts = timing.gaps(steps.time, rate) + 1
    bounds = [0, *cuts.tolist(), len(steps.reward)]
    pairs = zip(bounds[:-1], bounds[1:], strict=True)
    return [Steps(*(None if x is None else x[a:b] for x in steps)) for a, b in pairs]


def _at_rate(steps: Steps, layout: Layout, rate: float | None) -> Steps:
    if layout.rate is None or rate is None or layout.rate >= rate:
        return steps
    kept = timing.kept_rows(len(steps.reward), steps.time, rate, layout.rate)
    return timing.thinned(steps, kept, layout.action_kind)
