"""Files that keep every episode apart: groups or keys with its number.

    data/demo_K/{obs/..., next_obs/..., actions, rewards, dones}        robomimic
    traj_K/{obs, actions, rewards, terminated, truncated}               ManiSkill
    observations_K, actions_K, rewards_K, terminated_K                  numbered keys

All are brought into D4RL's rows.  A flag may be one number for the whole episode, which is then
its last row's; an observation more than actions is the last one's successor; observations in
several parts are joined in the order of their names, pictures left out.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from shared.data.recording.flags import one_less
from shared.errors import DataError, printable

_GROUPED = re.compile(r"((?:[^/]+/)*?[A-Za-z][A-Za-z_]*?)(\d{1,7})/(.+)")
_NUMBERED = re.compile(r"([A-Za-z_]+?)_(\d{1,7})")
_LONGEST_KEY = 200
_NAMES = {
    "observations": ("observations", "observation", "obs"),
    "next_observations": ("next_observations", "next_observation", "next_obs"),
    "actions": ("actions", "action"),
    "rewards": ("rewards", "reward"),
    "terminals": ("terminals", "terminal", "terminated", "terminations"),
    "timeouts": ("timeouts", "timeout", "truncated", "truncations"),
    "dones": ("dones", "done"),
    "states": ("states", "state"),
}
_MATRICES = ("observations", "next_observations", "actions")
_ANY = "|".join(name for own in _NAMES.values() for name in own)
APART = re.compile(
    rf"(?=.{{1,{_LONGEST_KEY}}}\Z)(?!.*(?:image|rgb|depth|pixels))"
    rf"(?:(?:.*/)?[A-Za-z]\w*?_?\d{{1,7}}/(?:{_ANY})(?:/.+)?|(?:{_ANY})_\d{{1,7}})"
)
"""Keys that are read of such a file; pictures are not."""


class Whole(NamedTuple):
    """Rows by D4RL's keys, the keys of an episode, and sentences on how they were read."""

    arrays: dict[str, np.ndarray]
    keys: tuple[str, ...]
    notes: list[str]


def _places(keys: Iterable[str]) -> dict[tuple[str, int], dict[str, dict[str, str]]]:
    """Group and number of the episode -> D4RL key -> part of it -> key of the file."""
    names = {name: key for key, own in _NAMES.items() for name in own}
    found: dict[tuple[str, int], dict[str, dict[str, str]]] = {}
    for key in (key for key in keys if len(key) <= _LONGEST_KEY):
        if match := _GROUPED.fullmatch(key):
            number, (name, _, part) = (match[1], int(match[2])), match[3].partition("/")
        elif match := _NUMBERED.fullmatch(key):
            number, name, part = ("", int(match[2])), match[1], ""
        else:
            continue
        if name in names:
            found.setdefault(number, {}).setdefault(names[name], {})[part] = key
    return found


def read_apart(where: str, arrays: dict[str, np.ndarray]) -> Whole | None:
    """The rows of all episodes, in the order of their numbers; None if there is no episode.

    Arguments:
        where: the file, for the sentences.
        arrays: by the keys of the file.

    Raises:
        DataError: an episode lacks a part of the first one, or its parts differ in length.
    """
    places, notes = _places(arrays), dict[str, None]()
    places = {k: x for k, x in places.items() if {"actions", "rewards"} <= set(x)}
    if not places:
        return None
    first = places[min(places)]
    source = "observations" if "observations" in first else "states"
    episodes = []
    for place in sorted(places):
        own, number = places[place], "".join(map(str, place))
        if missing := [
            key for key in first if key not in own or own[key].keys() != first[key].keys()
        ]:
            raise DataError(
                f"{where}: episode '{printable(number)}' lacks '{missing[0]}' of the first one; "
                "record it, or leave the episode out."
            )
        parts = {key: {p: arrays[name] for p, name in x.items()} for key, x in own.items()}
        if source not in parts:
            raise DataError(f"{where}: no observations lie beside '{number}'; add them as 'obs'.")
        what = f"{where}: episode '{printable(number)}'"
        episodes.append(_episode(what, parts, source, notes))
    _require_one_width(where, episodes)
    ended = _ends(episodes, notes)
    rows = [x | ends for x, ends in zip(episodes, ended, strict=True)]
    keys = [key for key in rows[0] if all(key in x for x in rows)]
    joined = {key: np.concatenate([x[key] for x in rows]) for key in keys if key != "dones"}
    told = f"{len(rows)} episodes that the file keeps apart are read one behind the other."
    return Whole(joined, tuple(x for key in first.values() for x in key.values()), [told, *notes])


def _require_one_width(where: str, episodes: list[dict[str, np.ndarray]]) -> None:
    for key in _MATRICES:
        widths = [x[key].shape[1] for x in episodes if key in x]
        if odd := next((n for n in widths if n != widths[0]), None):
            raise DataError(
                f"{where}: '{key}' has {odd} values a row in one episode, but {widths[0]} in the "
                "first; keep episodes of one form in a file."
            )


def _episode(what: str, parts: dict, source: str, notes: dict) -> dict[str, np.ndarray]:
    """One episode by D4RL's keys, flags as they are."""
    found = {key: _joined(what, key, parts[key], notes) for key in parts if key in _MATRICES}
    if source == "states":
        found["observations"] = _joined(what, "states", parts["states"], notes)
        notes["'states' are read as observations; there are no others."] = None
    steps = len(found["actions"])
    observation = found["observations"]
    if len(observation) == steps + 1:
        found.setdefault("next_observations", observation[1:])
        found["observations"] = observation[:-1]
    for key in ("rewards", "terminals", "timeouts", "dones"):
        if key in parts:
            if len(parts[key]) > 1:
                raise DataError(f"{what} has several arrays of '{key}'; keep one.")
            (x,) = parts[key].values()
            found[key] = x.reshape(-1)
    for key in ("terminals", "timeouts", "dones"):
        if key in found and found[key].size == 1 and steps > 1:
            found[key] = np.append(np.zeros(steps - 1, bool), found[key] != 0)
        if key in found and len(found[key]) == steps + 1:
            found[key], place = one_less(found[key])
            notes[f"'{key}' has one entry more than its rows; the {place} is left out."] = None
    lengths = {key: len(x) for key, x in found.items()}
    if len(set(lengths.values())) > 1 or not steps:
        told = ", ".join(f"{key} {n}" for key, n in lengths.items())
        raise DataError(f"{what} has parts of different lengths ({told}); align them.")
    return found


def _joined(what: str, key: str, parts: dict[str, np.ndarray], notes: dict) -> np.ndarray:
    """The parts of an observation side by side, without pictures."""
    flat = {
        k: x
        for k, x in sorted(parts.items())
        if x.ndim and not (x.ndim > 2 and x.dtype == np.uint8)
    }
    if left := [printable(k) for k in parts if k not in flat]:
        notes[f"the pictures {', '.join(sorted(left))} of '{key}' are left out."] = None
    if not flat:
        raise DataError(f"{what} has no numbers in '{key}', only pictures; add a state.")
    if len(flat) > 1:
        notes[f"'{key}' joins {', '.join(map(printable, flat))}, in this order."] = None
    lengths = {len(x) for x in flat.values()}
    if len(lengths) > 1:
        raise DataError(f"{what} has parts of different lengths in '{key}'; align them.")
    return np.concatenate([x.reshape(len(x), -1) for x in flat.values()], axis=1)


def _ends(episodes: list[dict[str, np.ndarray]], notes: dict) -> list[dict[str, np.ndarray]]:
    """`terminals` and `timeouts` of every episode; the last row has one of the two."""
    terminal = [
        x.get("terminals", x.get("dones", np.zeros(len(x["actions"])))) != 0 for x in episodes
    ]
    if "terminals" not in episodes[0] and "dones" in episodes[0]:
        if all(x[-1] for x in terminal) and not _pays_at_the_end(episodes):
            notes[
                "'dones' is true at the end of every episode, so it marks where recordings stop: "
                "they are read as timeouts."
            ] = None
            terminal = [np.append(x[:-1], False) for x in terminal]
        else:
            notes["'dones' is read as 'terminals'."] = None
    found = []
    for episode, over in zip(episodes, terminal, strict=True):
        stop = episode.get("timeouts", np.zeros(len(over))) != 0
        stop = stop | (np.arange(len(over)) == len(over) - 1) & ~over
        found.append({"terminals": over, "timeouts": stop})
    return found


def _pays_at_the_end(episodes: list[dict[str, np.ndarray]]) -> bool:
    """Is a reward of success all that there is?  Then the end of an episode is one for good."""
    return all(x["rewards"][-1] > 0 and not x["rewards"][:-1].any() for x in episodes)
