"""Reads rows of any form, checks them, and gives them as a `RowData`."""

from dataclasses import dataclass
from pathlib import Path

from shared.data.catalog import Entry, lookup_own, official_entry, recorded_entry
from shared.data.checks.ends import flag_offset
from shared.data.checks.finite import filled
from shared.data.checks.material import Material
from shared.data.checks.table import OF_NUMBERS, find_faults
from shared.data.files.attributes import Attributes
from shared.data.files.source import read_source
from shared.data.recording import jumps
from shared.data.recording.columns import Columns, Fault
from shared.data.recording.ends import find_episodes
from shared.data.recording.filler import without_fillers
from shared.data.recording.transitions import to_transitions
from shared.data.recording.units import (
    OFFSET_KEY,
    PLAIN,
    RANGE_KEYS,
    Options,
    Range,
    chosen_range,
    offset_noted,
    to_unit,
)
from shared.datasets.row_data import RowData
from shared.environments.tasks import Environment
from shared.errors import DataError

_TOLD_BY = {"zero-rewards": "no-reward"}
"""Faults that only repeat another one."""


@dataclass(frozen=True)
class Examined:
    """A file as far as it can be read, and all its faults; what `data inspect` shows.

    Attributes:
        columns: all rows, actions as they are stored; None if the form is wrong.
        action_range: what the actions are scaled from; None if they are in [-1, 1].
    """

    name: str
    path: Path
    sha256: str
    source: str
    environment: Environment | None
    attributes: Attributes
    keys: tuple[str, ...]
    columns: Columns | None
    faults: list[Fault]
    action_range: Range | None = None


def read_states(
    path: str | Path,
    *,
    name: str | None = None,
    official: bool = False,
    options: Options = PLAIN,
) -> RowData:
    """Read and validate rows.

    Arguments:
        path: HDF5 file with D4RL's keys, or another form of `source`.
        name: data set (or task) that the file is meant to be; None reads it off the file.
        official: the file came through the catalog's download path.
        options: what the user says of it.

    Raises:
        DataError: unreadable, broken, hostile or wrong in form or meaning.
    """
    file = examine(path, name=name, official=official, options=options)
    errors = [fault.sentence for fault in file.faults if fault.severity == "error"]
    if errors:
        more = f"  ({len(errors) - 1} more: see 'data inspect')" if len(errors) > 1 else ""
        raise DataError(f"{file.path}: {errors[0]}{more}")
    assert file.columns is not None
    columns = file.columns
    if file.action_range is not None:
        columns = _in_unit(columns, file.action_range)
    offset = None
    if OFFSET_KEY in file.attributes:
        offset = offset_noted(file.attributes, columns.observation.shape[1])
    episodes = find_episodes(columns, file.environment)
    transitions, kept = to_transitions(columns, episodes, file.environment)
    if not len(transitions.reward):
        raise DataError(f"{file.path}: has no usable transition; record longer episodes.")
    return RowData(
        name=file.name,
        path=file.path,
        sha256=file.sha256,
        source=file.source,
        transitions=transitions,
        episode=episodes.number[kept],
        episode_returns=episodes.returns,
        episode_lengths=episodes.lengths,
        episode_finished=episodes.finished,
        environment=None if file.environment is None else file.environment.name,
        attributes=file.attributes,
        warnings=tuple(f"{file.path.name}: {fault.sentence}" for fault in file.faults),
        action_range=file.action_range,
        observation_offset=offset,
        cut_jumps=options.cut_jumps,
    )


def examine(
    path: str | Path,
    *,
    name: str | None = None,
    official: bool = False,
    options: Options = PLAIN,
) -> Examined:
    """Read a file and find its faults without raising for them.

    Raises:
        DataError: the file cannot be opened safely, or `name` is unknown.
    """
    path = Path(path)
    entry = None if name is None else lookup_own(name)
    # What a simulator shows is not shifted, so neither is what is compared with it.
    shift = entry is None or not entry.environment.simulator
    source = read_source(path, shift=shift, used_as=None if entry is None else entry.name)
    columns, faults, bounds = source.columns, list(source.faults), None
    collected = source.attributes.get("source") == "collected"
    if collected:
        told = recorded_entry(str(source.attributes.get("dataset")))
    else:
        told = source.known or (official_entry(path.name) if entry is None else None)
    if entry is not None and told is not None and not _agrees(told, entry):
        sentence = f"the file is '{told.name}', but it is used as '{entry.name}'."
        faults.append(Fault("name", "warning", sentence))
    entry = entry or told
    environment = None if entry is None else entry.environment
    if columns is not None:
        if options.action_range is not None or {*RANGE_KEYS} & {*source.attributes}:
            size = columns.action.shape[1]
            bounds = chosen_range(options, source.attributes, size, str(path))
        columns, found = _mended(columns, environment, options)
        scaled = columns if bounds is None else _in_unit(columns, bounds)
        known = {fault.name for fault in faults}
        faults += found + [
            fault
            for fault in find_faults(scaled, environment, declared=bounds is not None)
            if _TOLD_BY.get(fault.name) not in known
        ]
    elif source.rough is not None:
        faults += [x for x in find_faults(source.rough, environment) if x.name in OF_NUMBERS]
    label = "official" if official or source.known is not None else "yours"
    return Examined(
        name=path.resolve().stem if entry is None else entry.name,
        path=path,
        sha256=source.sha256,
        source="collected" if collected else label,
        environment=environment,
        attributes=source.attributes,
        keys=source.keys,
        columns=columns,
        faults=faults,
        action_range=bounds,
    )


def _in_unit(columns: Columns, bounds: Range) -> Columns:
    return columns._replace(action=to_unit(columns.action, bounds))


def _mended(
    columns: Columns, environment: Environment | None, options: Options
) -> tuple[Columns, list[Fault]]:
    """The rows without what is none, cut where the user wants it; each told in a sentence."""
    told = []
    columns, fillers = without_fillers(columns)
    if fillers:
        sentence = (
            f"{fillers:,} rows behind the ends of episodes lead from the last observation to the "
            "reset, as next-step autoreset records them; they are left out."
        )
        told.append(Fault("filler-rows", "warning", sentence))
    if options.cut_jumps:
        if offset := flag_offset(Material(filled(columns), environment)):
            columns = jumps.moved(columns, offset)
            sentence = f"flags are moved by {offset} rows to where observations jump (cut_jumps)."
            told.append(Fault("moved-flags", "warning", sentence))
        columns, count = jumps.cut(columns, environment)
        sentence = f"episodes are cut at {count:,} jumps that no flag marks (cut_jumps)."
        told += [Fault("cut-jumps", "warning", sentence)] if count else []
    return columns, told


def _agrees(told: Entry, used: Entry) -> bool:
    """May a file of one data set be used as another, or as one of a task?"""
    return told.file == used.file if used.file else told.environment == used.environment
