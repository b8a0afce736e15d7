"""From a robot's recording and what a YAML says of it to D4RL's rows.

    read       LeRobot, demos or tables, only the columns that are asked for
    reward     and ends of each episode at the recorded rate
    time       drop-outs told or cut, rows thinned out to the rate of control
    actions    as they are stored, with the range that they are scaled from

What comes out is a `Source` like that of any other file, so everything behind it is the same.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from shared.data.files.attributes import Attributes
from shared.data.files.folder import digest_of
from shared.data.files.one_file import Source
from shared.data.files.robots import demos, pictures, tables
from shared.data.files.robots.layout import Layout, is_layout, read_layout
from shared.data.files.robots.lerobot import read_lerobot, with_defaults
from shared.data.files.robots.lerobot_meta import is_lerobot, read_meta
from shared.data.files.robots.ranges import scaled_from
from shared.data.files.robots.recorded import Recording, labels_of
from shared.data.files.robots.rewards import load_function
from shared.data.files.robots.steps import clock_of, steps_of
from shared.data.files.robots.timing import Steps
from shared.data.recording.columns import Columns, Fault, rough_columns, to_columns
from shared.data.recording.units import OFFSET_KEY, RANGE_KEYS, far_offset, told_offset
from shared.errors import DataError

REWARD_KEY = "reward"
"""The attribute that says what the reward is; `NO_REWARD` where nobody said it."""
NO_REWARD = "none"


def is_robot(path: Path) -> bool:
    """Is this read here: a YAML that names columns, or a LeRobot folder?"""
    return is_layout(path) or is_lerobot(path)


def read_robot(path: Path, *, shift: bool = True) -> Source:
    """Every row of a recording, with the columns in the meaning of D4RL's.

    Arguments:
        path: a YAML (see `layout`), or a LeRobot folder.
        shift: as of `read_source`.

    Raises:
        DataError: the YAML or a file is damaged or hostile, or they do not fit each other.
    """
    layout = read_layout(path) if is_layout(path) else Layout(None, path)
    function, code = load_function(layout)
    layout, recording = _read(layout, every=function is not None)
    _require_camera(layout, recording)
    rate, faults = clock_of(path, layout, recording)
    episodes, notes = steps_of(path, layout, recording, function, rate)
    faults = [Fault("layout", "warning", x) for x in (*recording.notes, *notes)] + faults
    arrays = _rows(episodes)
    action, bounds, note = scaled_from(str(path), arrays["actions"], layout.action_range)
    faults += [Fault("action-percentile", "warning", note)] if note else []
    about = _about(layout, recording, rate)
    about |= (
        {} if bounds is None else {k: x.tolist() for k, x in zip(RANGE_KEYS, bounds, strict=True)}
    )
    arrays |= {
        "actions": action,
        "observations": _near(arrays["observations"], shift, about, faults),
    }
    columns, more = to_columns(arrays, tuple(arrays))
    rough = rough_columns(arrays) if columns is None else None
    faults += [*more, *_without_reward(about, columns)]
    files = [*([layout.path] if layout.path else []), *code, *recording.files]
    return Source(digest_of(files), None, about, recording.columns, columns, faults, rough)


def read_pictures(path: Path) -> UInt8[np.ndarray, "rows size size 3"] | None:
    """The frames of the rows that `read_robot` gives, if the YAML names a camera.

    Raises:
        DataError: as of `read_robot`; there is no such camera, or its frames are damaged.
    """
    layout = read_layout(path) if is_layout(path) else Layout(None, path)
    if layout.image is None:
        return None
    function, _ = load_function(layout)
    layout, recording = _read(layout, every=function is not None)
    rate, _ = clock_of(path, layout, recording)
    steps, _ = steps_of(path, layout, recording, function, rate)
    row = np.concatenate([x.row for x in steps])
    if recording.form == "lerobot":
        return pictures.of_videos(layout, read_meta(layout.data))[row]
    _require_camera(layout, recording)
    key, size = layout.image or "", layout.image_size
    found = demos.read_demos(layout, [key])
    pictures.require_memory(layout, sum(len(x[key]) for x in found.episodes))
    frames = [
        pictures.scaled(f"{layout.data}: '{label}/{key}'", x[key], size)
        for label, x in zip(found.labels, found.episodes, strict=True)
    ]
    frames = np.concatenate(frames)
    if len(frames) <= row.max():
        raise DataError(f"{layout.data}: has {len(frames)} pictures for more rows; align them.")
    return frames[row]


def _require_camera(layout: Layout, recording: Recording) -> None:
    if layout.image is not None and recording.form not in ("lerobot", "demos"):
        raise DataError(f"{layout.path}: tables hold no pictures; leave 'image' out.")


def _read(layout: Layout, *, every: bool) -> tuple[Layout, Recording]:
    """The layout with the recording's own defaults, and the recording."""
    if is_lerobot(layout.data):
        meta = read_meta(layout.data)
        layout = with_defaults(layout, meta)
        return layout, read_lerobot(layout, meta, _wanted(layout), every=every)
    for key in ("observation", "action"):
        if getattr(layout, key) is None:
            raise DataError(f"{layout.path}: add '{key}: [...]', the columns that make it.")
    wanted = _wanted(layout)
    if layout.data.suffix.lower() in demos.ENDINGS:
        return layout, demos.read_demos(layout, wanted, every=every)
    if not tables.table_files(layout.data):
        raise DataError(
            f"{layout.path}: 'data' names {layout.data}, which is no LeRobot folder, HDF5 file of "
            "demonstrations, table (.csv, .parquet) or folder of tables; correct it."
        )
    layout = layout._replace(action_range=layout.action_range or "data")
    return layout, tables.read_tables(layout, wanted, every=every)


def _wanted(layout: Layout) -> list[str]:
    """Every column that the layout names."""
    named = [part.name for part in (*(layout.observation or ()), *(layout.action or ()))]
    told = [name for kind, name in filter(None, (layout.reward, layout.terminal)) if name]
    if layout.reward and layout.reward[0] == "function":
        told.remove(layout.reward[1])
    return [*named, *filter(None, (layout.episode, layout.time)), *told]


def _rows(episodes: list[Steps]) -> dict[str, np.ndarray]:
    """All episodes one behind the other, by D4RL's keys."""
    terminal = np.concatenate([x.terminal for x in episodes])
    last = np.cumsum([len(x.reward) for x in episodes]) - 1
    timeout = np.zeros(len(terminal), bool)
    timeout[last] = ~terminal[last]
    with np.errstate(over="ignore", invalid="ignore"):
        reward = np.concatenate([x.reward for x in episodes]).astype(np.float32)
    return {
        "observations": np.concatenate([x.observation for x in episodes]),
        "actions": np.concatenate([x.action for x in episodes]),
        "rewards": reward,
        "terminals": terminal,
        "timeouts": timeout,
    }


def _near(x: np.ndarray, shift: bool, about: Attributes, faults: list[Fault]) -> np.ndarray:
    """Observations in float32, shifted where that could not hold them."""
    offset = far_offset(x) if shift else None
    if offset is not None:
        about[OFFSET_KEY] = offset.tolist()
        faults.append(Fault("far-from-zero", "warning", told_offset(offset)))
    with np.errstate(over="ignore", invalid="ignore"):
        return (x if offset is None else x - offset).astype(np.float32)


def _about(layout: Layout, recording: Recording, rate: float | None) -> Attributes:
    """What the data say of themselves, and go on saying when they are converted."""
    kind, name = layout.reward or (NO_REWARD, "")
    rate = rate if layout.rate is None or rate is None else min(rate, layout.rate)
    return {
        REWARD_KEY: f"{kind} {name}".strip(),
        **({} if rate is None else {"control_rate": round(float(rate), 6)}),
        "observation_names": ", ".join(labels_of(recording, layout.observation or ())),
        "action_names": ", ".join(labels_of(recording, layout.action or ())),
    }


def _without_reward(about: Attributes, columns: Columns | None) -> list[Fault]:
    if about[REWARD_KEY] != NO_REWARD or columns is None:
        return []
    sentence = (
        "nothing says what the reward is, so only methods that imitate (--algo bc) can learn from "
        "it; write 'reward: success' into a YAML if every episode ends in success "
        "(docs/your-data.md)."
    )
    return [Fault("no-reward", "warning", sentence)]
