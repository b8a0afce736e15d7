"""Reads Minari data sets, without Minari, from folders that nobody has to trust.

    NAME-v0/data/metadata.json     spaces, number of episodes, version
    NAME-v0/data/main_data.hdf5    a group `episode_N` for each episode of T steps, with
                                   observations (T + 1, ...), or a group of several such;
                                   actions, rewards, terminations, truncations (T, ...)

What is read goes through `read_hdf5`, so links, objects and impossible sizes are refused;
`infos` and the recipe of the environment are never looked at.  Observations that are a
dictionary are joined in the order of their space, as `gymnasium.spaces.flatten` does.
Pictures are (T + 1, height, width, 3) uint8; JPEGs are refused.

Format: Minari (Younis et al., 2024), versions 0.4 and 0.5, its `hdf5` storage.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.data.files.attributes import Attributes, plain_attributes
from shared.data.files.folder import digest_of, require_inside
from shared.data.files.hdf5 import read_hdf5
from shared.data.files.minari_metadata import metadata_of, range_of, refuse_jpegs, spaces_of
from shared.data.files.signature import AGAIN
from shared.data.recording.flags import one_less
from shared.data.recording.units import (
    OFFSET_KEY,
    far_offset,
    told_offset,
    values_lost,
)
from shared.data.recording.whole import Episode
from shared.errors import DataError, printable

MAIN, METADATA = "main_data.hdf5", "metadata.json"
RECORD = "latent_policies"
"""Where `metadata.json` says what a converted set was made of."""
FLAT = ("actions", "rewards", "terminations", "truncations")
_WANTED = re.compile(rf"episode_\d{{1,9}}/(observations(/.+)?|{'|'.join(FLAT)})")


class MinariSet(NamedTuple):
    """What was read: all episodes, and sentences on how.

    `keys` are those of an episode.
    """

    episodes: list[Episode]
    sha256: str
    attributes: Attributes
    keys: tuple[str, ...]
    notes: list[str]


def minari_place(path: Path) -> Path | None:
    """The folder that holds the two files: `path` or `path/data`; None, if it is no Minari set."""
    places = (path / "data", path)
    return next((x for x in places if (x / MAIN).is_file() or (x / METADATA).is_file()), None)


def read_minari(path: str | Path, *, shift: bool = True) -> MinariSet:
    """Every episode of a Minari data set.

    Arguments:
        path: its folder.
        shift: as of `read_source`.

    Raises:
        DataError: it is broken or hostile, or holds what no data set here is made of: JPEGs,
            whole numbers, text, actions that are a dictionary.
    """
    path = Path(path)
    place = minari_place(path)
    if place is None:
        raise DataError(f"{path}: holds no {MAIN}; name the folder of a Minari data set.")
    files = [place / MAIN, place / METADATA]
    for file in files:
        require_inside(path, file)
    about = metadata_of(files[1])
    stored = about.get("data_format", "hdf5")
    if stored != "hdf5":
        kind = printable(str(stored))
        raise DataError(f"{path}: is stored as '{kind}'; write it with data_format='hdf5'.")
    spaces = spaces_of(about)
    refuse_jpegs(files[0], about, spaces)
    found: dict[int, dict[str, np.ndarray]] = {}
    for key, array in read_hdf5(files[0], _WANTED, many=True).arrays.items():
        group, _, name = key.partition("/")
        found.setdefault(int(group.removeprefix("episode_")), {})[name] = array
    told = about.get("total_episodes", len(found))
    if not found or told != len(found):
        raise DataError(
            f"{files[0]}: holds {len(found)} episodes, but {METADATA} says {told!r}; {AGAIN}."
        )
    leaves = sorted(key for key in next(iter(found.values())) if key not in FLAT)
    leaves = list(spaces) if sorted(spaces) == leaves else leaves
    notes = dict.fromkeys(_extra_flags(found))
    episodes = [
        _episode(f"{files[0]}: 'episode_{number}'", found[number], leaves, notes)
        for number in sorted(found)
    ]
    _require_one_form(files[0], episodes)
    first = next(iter(found.values()))
    joined = [key.partition("/")[2] for key in leaves if first[key].dtype != np.uint8]
    if len(joined) > 1:
        notes[f"the observation joins {', '.join(joined)}, in this order."] = None
    record = about.get(RECORD)
    attributes = plain_attributes(record) if isinstance(record, dict) else {}
    attributes |= range_of(about)
    episodes = _in_float32(episodes, attributes, shift, notes)
    return MinariSet(episodes, digest_of(files), attributes, (*leaves, *FLAT), list(notes))


def _in_float32(
    episodes: list[Episode], attributes: Attributes, shift: bool, notes: dict
) -> list[Episode]:
    """The episodes with states of float32, shifted where that could not hold them."""
    states = [x.state for x in episodes if x.state is not None]
    if not states or all(x.dtype == np.float32 for x in states):
        return episodes
    stored = np.concatenate(states)
    offset = far_offset(stored) if shift else None
    if offset is not None:
        before = np.asarray(attributes.get(OFFSET_KEY, 0.0))
        attributes[OFFSET_KEY] = (offset + before).tolist()
        notes[told_offset(offset)] = None
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (stored if offset is None else stored - offset).astype(np.float32)
    notes[f"'observations' holds {stored.dtype}; it is read as float32."] = None
    if offset is None and (lost := values_lost(stored, moved)) is not None:
        column, before, after = lost
        notes[
            f"'observations' keeps {after:,} of {before:,} different values in column {column}, "
            "because float32 holds seven digits; subtract a constant there."
        ] = None
    parts = np.split(moved, np.cumsum([len(x) for x in states])[:-1])
    return [x._replace(state=part) for x, part in zip(episodes, parts, strict=True)]


def _extra_flags(found: dict[int, dict[str, np.ndarray]]) -> list[str]:
    """Shorten flags that have one entry more than the rewards, and say which."""
    told = {}
    for arrays in found.values():
        rows = len(arrays["rewards"]) if np.ndim(arrays.get("rewards", 0)) else -1
        for key in FLAT[2:]:
            x = arrays.get(key)
            if x is not None and x.ndim == 1 and len(x) == rows + 1 > 1:
                arrays[key], place = one_less(x)
                sentence = f"'{key}' has one entry more than its rows; the {place} is left out."
                told[sentence] = None
    return list(told)


def _episode(what: str, arrays: dict[str, np.ndarray], leaves: list[str], notes: dict) -> Episode:
    missing = [key for key in (*leaves, *FLAT) if key not in arrays]
    if missing or not leaves:
        key = missing[0] if missing else "observations"
        raise DataError(f"{what} has no array '{key}'; add it.")
    steps = len(arrays["rewards"]) if arrays["rewards"].ndim else 0
    states, image = [], None
    for key in leaves:
        x = arrays[key]
        _require_rows(what, key, x, steps + 1)
        if x.dtype != np.uint8:
            _require_real(what, key, x)
            states.append(x.reshape(len(x), -1))
        elif image is None:
            image = _pictures(what, key, x)
        else:
            raise DataError(f"{what}: '{key}' is a second picture; keep one of them.")
    for key in FLAT:
        _require_rows(what, key, arrays[key], steps)
    reward = arrays["rewards"]
    if reward.dtype.kind in "iu":
        notes["'rewards' holds whole numbers; it is read as float32."] = None
        reward = reward.astype(np.float32)
    return Episode(
        np.concatenate(states, axis=1) if states else None,
        image,
        _real(what, "actions", arrays["actions"], notes).reshape(steps, -1),
        _real(what, "rewards", reward, notes).reshape(steps),
        *(_flags(what, key, arrays[key]) for key in FLAT[2:]),
    )


def _require_rows(what: str, key: str, x: np.ndarray, rows: int) -> None:
    if not x.ndim or len(x) != rows or rows < 1:
        raise DataError(
            f"{what}: '{key}' has shape {x.shape}, but the episode has {rows} of them by its "
            "rewards; store one observation more than actions."
        )


def _require_real(what: str, key: str, x: np.ndarray) -> None:
    if x.dtype.kind != "f":
        raise DataError(f"{what}: '{key}' holds {x.dtype}; store real numbers, float32.")


def _real(what: str, key: str, x: np.ndarray, notes: dict) -> np.ndarray:
    _require_real(what, key, x)
    if x.dtype != np.float32:
        notes[f"'{key}' holds {x.dtype}; it is read as float32."] = None
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.float32, copy=False)


def _pictures(what: str, key: str, x: np.ndarray) -> np.ndarray:
    if x.ndim != 4 or x.shape[3] != 3:
        raise DataError(
            f"{what}: '{key}' is uint8 of shape {x.shape}; store pictures as (rows, height, width, "
            "3) and numbers as float32."
        )
    return x


def _flags(what: str, key: str, x: np.ndarray) -> np.ndarray:
    if x.ndim != 1 or not np.isin(x, (0, 1)).all():
        raise DataError(f"{what}: '{key}' must be one true or false a step; correct it.")
    return x.astype(bool)


def _require_one_form(file: Path, episodes: list[Episode]) -> None:
    for key in ("state", "image", "action"):
        forms = [None if x is None else x.shape[1:] for x in (getattr(e, key) for e in episodes)]
        if odd := next((i for i, form in enumerate(forms) if form != forms[0]), 0):
            raise DataError(
                f"{file}: '{key}' of episode {odd} is {forms[odd]} a row, but {forms[0]} in the "
                "first; keep episodes of one form in a data set."
            )
