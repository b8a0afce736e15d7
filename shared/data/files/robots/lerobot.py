"""Reads LeRobot folders, versions 2 and 3, from which nothing is followed or run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.data.files.robots.layout import Layout
from shared.data.files.robots.layout_values import Part
from shared.data.files.robots.lerobot_meta import Meta, Place, require_within
from shared.data.files.robots.parquet import read_parquet
from shared.data.files.robots.recorded import Recording, require_columns
from shared.data.files.signature import AGAIN
from shared.errors import DataError, printable
from shared.storage.memory import memory_limit

STATE, ACTION, NUMBER, TIME = "observation.state", "action", "episode_index", "timestamp"
REWARD, SUCCESS = "next.reward", "next.success"
_PICTURES = ("video", "image")
_NUMBERS = ("float", "int", "uint", "bool")


def with_defaults(layout: Layout, meta: Meta) -> Layout:
    """The layout with LeRobot's own names where the YAML gives none.

    Raises:
        DataError: the folder has no such columns.
    """
    where, there = layout.data, numeric(meta)
    observation = layout.observation
    if observation is None:
        own = [STATE] if STATE in there else [x for x in there if x.startswith("observation.")]
        if not own:
            raise DataError(
                f"{where}: has no column '{STATE}' or other numbers observed; name the columns of "
                "the observation in a YAML (docs/your-data.md)."
            )
        observation = tuple(map(Part, own))
    reward = layout.reward
    if reward is None and REWARD in there:
        reward = ("column", REWARD)
    terminal = layout.terminal
    if terminal is None and layout.reward is None and SUCCESS in there:
        terminal = ("column", SUCCESS)
    return layout._replace(
        observation=observation,
        action=layout.action or (Part(ACTION),),
        time=layout.time or (TIME if TIME in there else None),
        reward=reward,
        terminal=terminal,
        action_range=layout.action_range or "data",
    )


def numeric(meta: Meta) -> list[str]:
    """Columns of numbers."""
    kinds = {key: str(x.get("dtype", "")) for key, x in meta.features.items()}
    return [key for key, kind in kinds.items() if kind.startswith(_NUMBERS)]


def read_lerobot(
    layout: Layout, meta: Meta, wanted: Sequence[str], *, every: bool = False
) -> Recording:
    """The columns of every episode.

    Arguments:
        layout: whose data is the folder.
        meta: of the folder.
        wanted: names of columns, all of which must be there.
        every: read the other columns of numbers too.

    Raises:
        DataError: a file is missing or damaged, or is not what `meta` says of it.
    """
    root, there = layout.data, numeric(meta)
    require_columns(layout.path or root, wanted, there)
    names = list(dict.fromkeys([*wanted, *(there if every else ())]))
    size = sum(place.rows for place in meta.places) * 4 * len(names)
    if size > memory_limit():
        raise DataError(f"{root}: declares more rows than fit into memory; use fewer episodes.")
    files = list(dict.fromkeys(place.file for place in meta.places))
    episodes: dict[int, dict[str, np.ndarray]] = {}
    for file in files:
        require_within(root, file)
        places = [place for place in meta.places if place.file == file]
        arrays = read_parquet(file, list(dict.fromkeys([*names, NUMBER])))
        episodes |= _parted(file, arrays, places, names)
    _require_shapes(root, meta, episodes, names)
    cameras = [key for key, x in meta.features.items() if x.get("dtype") in _PICTURES]
    notes = []
    if cameras:
        told = ", ".join(map(printable, cameras))
        notes.append(f"the pictures {told} are left out; training reads the state.")
    if meta.tasks > 1:
        notes.append(
            f"{meta.tasks} tasks are mixed, and the policy is not told which one it is at; keep "
            "one, or add a column that tells them apart to the observation."
        )
    return Recording(
        form="lerobot",
        episodes=[episodes[place.number] for place in meta.places],
        labels=[f"episode {place.number}" for place in meta.places],
        files=[*meta.files, *files],
        columns=tuple(there),
        rate=meta.fps,
        names={key: _names(meta, key) for key in names},
        notes=tuple(notes),
    )


def _parted(
    file: Path, arrays: dict[str, np.ndarray], places: list[Place], names: list[str]
) -> dict[int, dict[str, np.ndarray]]:
    """Number of an episode -> its rows of a file."""
    number, found = arrays[NUMBER].reshape(-1), {}
    for place in places:
        rows = np.flatnonzero(number == place.number)
        if len(rows) != place.rows or len(rows) and rows[-1] - rows[0] != len(rows) - 1:
            raise DataError(
                f"{file}: holds {len(rows)} rows of episode {place.number}, but meta says "
                f"{place.rows} in one piece; {AGAIN}."
            )
        if not len(rows):
            raise DataError(f"{file}: episode {place.number} has no row; leave it out.")
        stretch = slice(int(rows[0]), int(rows[-1]) + 1)
        found[place.number] = {name: arrays[name][stretch] for name in names}
    if (left := len(number) - sum(place.rows for place in places)) > 0:
        raise DataError(f"{file}: {left} rows belong to no episode that meta lists; {AGAIN}.")
    return found


def _require_shapes(root: Path, meta: Meta, episodes: dict, names: list[str]) -> None:
    for name in names:
        told = meta.features[name].get("shape")
        told = [] if told == [1] or not isinstance(told, list) else told
        for number, episode in episodes.items():
            own = list(episode[name].shape[1:])
            own = [] if own == [1] else own
            if own != told:
                raise DataError(
                    f"{root}: '{printable(name)}' has shape {own} a row in episode {number}, but "
                    f"meta/info.json says {told}; {AGAIN}."
                )


def _names(meta: Meta, key: str) -> list[str]:
    """What the numbers of a column are called: LeRobot has a list, a list in a list, or a dict."""
    names = meta.features[key].get("names")
    while isinstance(names, dict) and len(names) == 1 or isinstance(names, list) and _nested(names):
        names = next(iter(names.values())) if isinstance(names, dict) else names[0]
    if isinstance(names, list) and all(isinstance(x, str) for x in names):
        return [printable(x, 40) for x in names]
    return []


def _nested(names: list) -> bool:
    return len(names) == 1 and isinstance(names[0], list)
