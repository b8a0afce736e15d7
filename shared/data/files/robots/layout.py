"""The small YAML that says what the columns of a recording mean.

    data: logs                   # beside this file: a LeRobot folder, an HDF5 file of demos, a
                                 # table (.csv, .parquet), or a folder of tables, one an episode
    observation: [x, v]          # columns or keys, joined in this order; NAME[0:7] is a part
    action: [torque]
    episode: number              # tables: the column that numbers the episodes
    time: t                      # the column of seconds; drop-outs are found by it
    reward: success              # none, success, {success: COLUMN}, {column: COLUMN},
                                 # {function: FILE.py:NAME} or {function: MODULE:NAME}
    terminal: never              # always, or {column: COLUMN}: where an episode ends for good
    recorded_rate: 30            # Hz, where neither `time` nor the recording say it
    rate: 10                     # Hz of control: rows in between are left out
    action_kind: position        # then of a kept row; delta: summed up to the next kept row
    action_range: data           # {percentile: 1}, or [[low, high], ...], a pair an action
    cut_gaps: true               # end an episode where rows are missing
    image: KEY                   # the camera for `data convert --to vd4rl`
    image_size: 64               # pixels a side

Only `data` must be there; `observation` and `action` too where the recording has no names of its
own for them (tables, demos).
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from shared.data.files.robots.layout_values import (
    Part,
    action_range,
    columns,
    number,
    one_of,
    reward,
    terminal,
    text,
    truth,
)
from shared.errors import DataError, printable
from shared.storage.yaml_text import load_yaml, told

ENDINGS = (".yaml", ".yml")
_BYTES = 1 << 16


class Layout(NamedTuple):
    """What a YAML says; None where the recording's own defaults hold.

    Attributes:
        path: the YAML; None if there is none.
        data: the recording.
        observation: columns of the observation, in order.
        action: of the action.
        episode: column that numbers episodes.
        time: column of seconds.
        reward: kind ("none", "success", "column", "function") and the name that goes with it.
        terminal: kind ("never", "always", "column") and the name that goes with it.
        recorded_rate: rows a second.
        rate: rows a second that are kept.
        action_kind: "position" or "delta".
        action_range: "data", a percentile, or a pair an action (or one for all).
        cut_gaps: end an episode where rows are missing.
        image: of the camera.
        image_size: pixels a side.
    """

    path: Path | None
    data: Path
    observation: tuple[Part, ...] | None = None
    action: tuple[Part, ...] | None = None
    episode: str | None = None
    time: str | None = None
    reward: tuple[str, str] | None = None
    terminal: tuple[str, str] | None = None
    recorded_rate: float | None = None
    rate: float | None = None
    action_kind: str | None = None
    action_range: str | float | tuple[tuple[float, float], ...] | None = None
    cut_gaps: bool = False
    image: str | None = None
    image_size: int = 64


_READERS = {
    "observation": columns,
    "action": columns,
    "episode": text,
    "time": text,
    "reward": reward,
    "terminal": terminal,
    "recorded_rate": number,
    "rate": number,
    "action_kind": one_of("position", "delta"),
    "action_range": action_range,
    "cut_gaps": truth,
    "image": text,
    "image_size": one_of(64, 84),
}


def is_layout(path: Path) -> bool:
    """Is this a YAML that names columns, by its ending?"""
    return path.suffix.lower() in ENDINGS


def read_layout(path: Path) -> Layout:
    """What a YAML says.

    Raises:
        DataError: it cannot be read, has an unknown key or a value of another kind, or names no
            data.
    """
    document = _mapping(path)
    if unknown := [key for key in document if key not in (*_READERS, "data")]:
        raise DataError(
            f"{path}: the key '{printable(str(unknown[0]))}' is not known; keys are data, "
            f"{', '.join(_READERS)}."
        )
    if not isinstance(document.get("data"), str) or not document["data"]:
        raise DataError(f"{path}: 'data' must name a file or folder beside this file; add it.")
    found = {
        key: _READERS[key](f"{path}: '{key}'", value)
        for key, value in document.items()
        if key != "data"
    }
    layout = Layout(path, path.parent / Path(document["data"]).expanduser(), **found)
    if not layout.data.exists():
        raise DataError(f"{path}: 'data' names {layout.data}, which does not exist; correct it.")
    if layout.rate is not None and layout.action_kind is None:
        raise DataError(
            f"{path}: 'rate' leaves rows out, so add 'action_kind: position' (each kept row's "
            "action is taken as it is) or 'action_kind: delta' (actions are summed up to the next "
            "kept row)."
        )
    return layout


def _mapping(path: Path) -> dict[Any, Any]:
    try:
        if path.stat().st_size > _BYTES:
            raise DataError(f"{path}: is longer than {_BYTES:,} bytes; name the columns only.")
        found = load_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = printable(told(error), 120)
        raise DataError(
            f"{path}: cannot be read as YAML ({reason}); correct it (docs/your-data.md)."
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: must hold keys with values, such as 'data: logs'; correct it.")
    return found
