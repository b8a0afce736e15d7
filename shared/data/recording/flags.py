"""Flags of episode ends under other names, in other forms, or one too many.

Recorders say where an episode ends in many ways; those that can mean one thing only are read:

    terminals   terminated, terminations, terminal, is_terminal
    timeouts    truncated, truncations, truncateds, timeout
    every end   episode_terminals, episode_ends, is_last, last   (what is not terminal is a timeout)
    starts      episode_starts, is_first, path_starts            (the row before one is an end)
    episodes    episode_ids, episode_id, episode_index           (ends where the number changes)

`dones` may mean the first or the third, so it has to be renamed.
"""

from collections.abc import Iterator

import numpy as np

_TERMINALS = ("terminated", "terminations", "terminal", "is_terminal")
_TIMEOUTS = ("truncated", "truncations", "truncateds", "timeout")
_EVERY = ("episode_terminals", "episode_ends", "is_last", "last")
_STARTS = ("episode_starts", "is_first", "path_starts")
_NUMBERS = ("episode_ids", "episode_id", "episode_index")
OTHER_ENDS = (*_TERMINALS, *_TIMEOUTS, *_EVERY, *_STARTS, *_NUMBERS)
"""Keys that are read where D4RL's own are missing."""
_FLAGS = ("terminals", "timeouts")


def known_ends(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays by D4RL's keys alone, and a sentence for every other name that was read.

    Arguments:
        arrays: by D4RL's keys and by those of `OTHER_ENDS`.
    """
    found = {key: x for key, x in arrays.items() if key not in OTHER_ENDS}
    told = []
    for key, names in (("terminals", _TERMINALS), ("timeouts", _TIMEOUTS)):
        name = next((x for x in names if x in arrays), None)
        if key not in found and name is not None:
            found[key] = arrays[name]
            told.append(f"key '{name}' is read as '{key}'.")
    rows = len(found["rewards"]) if np.ndim(found.get("rewards", 0)) else 0
    terminal = found.get("terminals")
    for name, ends in _ends(arrays, rows):
        if "timeouts" in found or terminal is None or np.size(terminal) != rows:
            break
        found["timeouts"] = ends & (np.reshape(terminal, -1) == 0)
        told.append(
            f"key '{name}' is read as the ends of episodes; what is not terminal is a timeout."
        )
    return found, told


def _ends(arrays: dict[str, np.ndarray], rows: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and (rows,) bool of everything that says where episodes end."""
    for name in (*_EVERY, *_STARTS, *_NUMBERS):
        x = arrays.get(name)
        if x is None or rows == 0 or x.size != rows or x.dtype.kind not in "biuf":
            continue
        x = x.reshape(rows)
        if name in _NUMBERS:
            yield name, np.append(x[1:] != x[:-1], True)
        elif ((x == 0) | (x == 1)).all():
            flag = x != 0
            yield name, np.append(flag[1:], True) if name in _STARTS else flag


def without_extra(columns: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns, where flags have one entry more than all others without it, and sentences.

    A flag of every observation, that of the last one included, is one longer.  What goes is
    the last entry, or the first where the last one alone marks the end.
    """
    lengths = {len(x) for key, x in columns.items() if key not in _FLAGS}
    if len(lengths) != 1:
        return columns, []
    (rows,), found, told = lengths, dict(columns), []
    for key in _FLAGS:
        if key in found and len(found[key]) == rows + 1:
            found[key], place = one_less(found[key])
            told.append(
                f"key '{key}' has one entry more than the {rows:,} rows; the {place} is left out."
            )
    return found, told


def one_less(flag: np.ndarray) -> tuple[np.ndarray, str]:
    """Without the one entry too many, and which it was, "first" or "last"."""
    if len(flag) > 1 and flag[-1] and not flag[-2]:
        return flag[1:], "first"
    return flag[:-1], "last"
