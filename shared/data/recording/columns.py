"""The columns of a data file in one fixed form, and the faults of the form.

Accepted with a note: other floats (cast to float32), (rows, 1) rewards and flags
(squeezed, as D4RL's reader does), whole-numbered rewards, flags stored as numbers 0
and 1, ends under another name (`flags`), one flag more than rows, and next observations
under another name (which are not read).
Refused: absent keys, other shapes, columns of different lengths, integers
where real numbers belong, flags other than 0 and 1.
"""

import difflib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from shared.data.recording.flags import known_ends, without_extra
from shared.data.recording.units import RANGE_KEYS, values_lost
from shared.errors import printable

REQUIRED = ("observations", "actions", "rewards", "terminals")
OPTIONAL = ("timeouts", "next_observations")
KEYS = REQUIRED + OPTIONAL
_FLAGS = ("terminals", "timeouts")
_MATRICES = ("observations", "actions", "next_observations")
_ALIASES = {  # what other recorders call these keys
    "observations": ("obs", "observation", "states", "state", "s"),
    "actions": ("acts", "action", "act", "a", "controls"),
    "rewards": ("reward", "rews", "rew", "r"),
    "terminals": ("dones", "done"),
    "timeouts": (),
    "next_observations": ("next_obs", "next_observation", "next_states", "next_state"),
}


class Fault(NamedTuple):
    """Something wrong in a data file.

    `severity` is "error" (training refuses the file) or "warning" (it is told);
    `sentence` names key, reason and mend.
    """

    name: str
    severity: str
    sentence: str


class Columns(NamedTuple):
    """All rows of a file; `None` where an optional key is absent."""

    observation: Float[np.ndarray, "rows observation"]
    action: Float[np.ndarray, "rows action"]
    reward: Float[np.ndarray, "rows"]
    terminal: Bool[np.ndarray, "rows"]
    timeout: Bool[np.ndarray, "rows"] | None
    next_observation: Float[np.ndarray, "rows observation"] | None


def to_columns(
    arrays: dict[str, np.ndarray], keys: tuple[str, ...]
) -> tuple[Columns | None, list[Fault]]:
    """Bring raw arrays into the form of `Columns`.

    Arguments:
        arrays: raw arrays by D4RL key, and by `flags.OTHER_ENDS`.
        keys: every key of the file, for suggestions.

    Returns:
        The columns (None if a fault is an error) and the faults.
    """
    arrays, renamed = known_ends({k: x for k, x in arrays.items() if k not in RANGE_KEYS})
    faults = [Fault("other-name", "warning", sentence) for sentence in renamed]
    faults += [_missing(key, keys) for key in REQUIRED if key not in arrays]
    faults += [x for key in OPTIONAL if key not in arrays for x in _ignored(key, keys)]
    columns: dict[str, Any] = {}
    for key in (key for key in KEYS if key in arrays):
        columns[key], found = (_flag if key in _FLAGS else _real)(key, arrays[key])
        faults += found
    columns, dropped = without_extra({key: x for key, x in columns.items() if x is not None})
    faults += [Fault("extra-flag", "warning", sentence) for sentence in dropped]
    faults += _lengths(columns)
    if any(fault.severity == "error" for fault in faults):
        return None, faults
    return Columns(*(columns.get(key) for key in KEYS)), faults


def rough_columns(arrays: dict[str, np.ndarray]) -> Columns | None:
    """What can be looked at of arrays whose form is wrong; None if that is too little.

    Flags that are missing or none are taken as false, whole numbers as real ones.
    """
    found: dict[str, Any] = {}
    for key in ("observations", "actions", "rewards"):
        x = _formed(key, arrays[key])[0] if key in arrays else None
        if x is None or x.dtype.kind not in "biuf" or len(x) < 2:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            found[key] = x.astype(np.float32)
    if len({len(x) for x in found.values()}) > 1:
        return None
    return Columns(*found.values(), np.zeros(len(found["rewards"]), bool), None, None)


def _error(name: str, sentence: str) -> Fault:
    return Fault(name, "error", sentence)


def _missing(key: str, keys: tuple[str, ...]) -> Fault:
    found = ", ".join(map(printable, keys[:8])) + (", ..." if len(keys) > 8 else "") or "nothing"
    others = [x for x in keys if x not in KEYS]
    near = _alias(key, keys) or next(iter(difflib.get_close_matches(key, others, 1, 0.6)), None)
    mend = f"rename '{printable(near)}' to it" if near else "add it"
    return _error("missing-key", f"key '{key}' is missing (the file holds {found}); {mend}.")


def _alias(key: str, keys: tuple[str, ...]) -> str | None:
    """The key of the file that seems to hold this one, at the top or inside a group."""
    names = (key, *_ALIASES[key])
    found = [x for x in keys if x.lower().rpartition("/")[2] in names and x not in KEYS]
    return min(found, key=lambda x: (x.count("/"), keys.index(x)), default=None)


def _ignored(key: str, keys: tuple[str, ...]) -> list[Fault]:
    near = _alias(key, keys)
    if near is None or near.startswith("infos/"):
        return []
    sentence = f"key '{printable(near)}' is not read; rename it to '{key}' if it is that."
    return [Fault("ignored-key", "warning", sentence)]


def _formed(key: str, x: np.ndarray) -> tuple[np.ndarray | None, list[Fault]]:
    """The array with the axes of its key, or None; what is wrong with its shape."""
    wanted, faults = 2 if key in _MATRICES else 1, []
    if x.ndim == 2 and x.shape[1] == 1 and wanted == 1:
        note = f"key '{key}' has shape {x.shape}; it is read as ({len(x)},)."
        x, faults = x[:, 0], [Fault("column-shape", "warning", note)]
    if x.ndim == wanted and x.size:
        return x, faults
    if x.ndim == wanted:
        return None, [_error("empty", f"key '{key}' is empty, shape {x.shape}; record some rows.")]
    form = "(rows, size)" if wanted == 2 else "(rows,)"
    mend = f"store it as {form}"
    if key in _MATRICES and (x.ndim == 4 or x.dtype == np.uint8):
        mend += ", and pictures in V-D4RL's layout"
    elif x.ndim == wanted + 1:
        mend += ", one episode behind the other"
    return None, [_error("shape", f"key '{key}' has shape {x.shape}; {mend}.")]


def _real(key: str, x: np.ndarray) -> tuple[np.ndarray | None, list[Fault]]:
    formed, faults = _formed(key, x)
    if formed is None:
        return None, faults
    x = formed
    if x.dtype.kind != "f" and not (key == "rewards" and x.dtype.kind in "biu"):
        return None, [_error("dtype", f"key '{key}' holds {x.dtype}; store real numbers, float32.")]
    if x.dtype != np.float32:
        note = f"key '{key}' holds {_told(x.dtype)}; it is read as float32."
        faults.append(Fault("dtype", "warning", note))
        with np.errstate(over="ignore", invalid="ignore"):
            stored, x = x, x.astype(np.float32)
        faults += _losses(key, stored, x)
    return x, faults


def _losses(key: str, stored: np.ndarray, x: np.ndarray) -> list[Fault]:
    """Numbers that are different as they are stored, and equal in float32."""
    if stored.dtype.kind == "f" and stored.dtype.itemsize <= 4 or stored.dtype.kind == "b":
        return []
    if (lost := values_lost(stored, x)) is None:
        return []
    column, before, after = lost
    where = f" in column {column}" if key in _MATRICES else ""
    sentence = (
        f"key '{key}' keeps {after:,} of {before:,} different values{where}, because float32 holds "
        "seven digits; subtract a constant there, or store it in another unit."
    )
    return [Fault("precision", "warning", sentence)]


def _told(dtype: np.dtype) -> str:
    if dtype.byteorder == ">":
        return f"{dtype.newbyteorder('=')} in big-endian order"
    return f"{dtype}, three digits only" if dtype == np.float16 else str(dtype)


def _flag(key: str, x: np.ndarray) -> tuple[np.ndarray | None, list[Fault]]:
    formed, faults = _formed(key, x)
    if formed is None:
        return None, faults
    x = formed
    if x.dtype == bool:
        return x, faults
    wrong = np.flatnonzero((x != 0) & (x != 1))
    if wrong.size:
        sentence = f"key '{key}' holds {x[wrong[0]]} in row {wrong[0]}; store true or false."
        return None, [_error("flag", sentence)]
    note = f"key '{key}' holds {x.dtype} 0 and 1; it is read as true and false."
    return x.astype(bool), [*faults, Fault("dtype", "warning", note)]


def _lengths(columns: dict[str, np.ndarray]) -> list[Fault]:
    faults = []
    rows = {key: len(x) for key, x in columns.items()}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{key} {n:,}" for key, n in rows.items())
        turned = [key for key, x in columns.items() if _is_turned(x, rows)]
        mend = f"transpose {' and '.join(turned)}" if turned else "align them"
        faults.append(_error("length", f"columns have different lengths ({told}); {mend}."))
    if rows and max(rows.values()) < 2:
        faults.append(_error("empty", "there is only one row; record at least two."))
    widths = {k: columns[k].shape[1] for k in ("observations", "next_observations") if k in columns}
    if len(set(widths.values())) > 1:
        told = " and ".join(f"{key} {n}" for key, n in widths.items())
        faults.append(_error("width", f"{told} values a row differ; store the same observation."))
    return faults


def _is_turned(x: np.ndarray, rows: dict[str, int]) -> bool:
    """Has this matrix its rows where its columns belong, seen by the flat keys?"""
    flat = {n for key, n in rows.items() if key not in _MATRICES}
    return x.ndim == 2 and len(x) not in flat and x.shape[1] in flat
