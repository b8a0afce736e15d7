"""Rewards and ends of an episode, as a layout says what they are."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from shared.data.files.robots.layout import Layout
from shared.data.files.robots.recorded import flat
from shared.errors import DataError, printable

Function = Callable[[dict[str, np.ndarray]], Any]
FEWEST = 2
"""Rows of an episode."""


def load_function(layout: Layout) -> tuple[Function | None, list[Path]]:
    """The function of rewards that a layout names, and the file that it lies in.

    This runs the code of that file or module: a YAML is to be trusted as a program is.

    Raises:
        DataError: there is none of this name, or its code fails.
    """
    kind, name = layout.reward or ("none", "")
    if kind != "function":
        return None, []
    place, _, attribute = name.rpartition(":")
    what = f"{layout.path}: 'reward' names the function '{printable(name)}'"
    if not place or not attribute.isidentifier():
        raise DataError(f"{what}; write FILE.py:NAME or MODULE:NAME.")
    try:
        module = _from_file(layout, place) if place.endswith(".py") else _from_path(layout, place)
        found = getattr(module, attribute)
    except Exception as error:  # whatever the user's code raises
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise DataError(f"{what}, which cannot be loaded ({reason}); correct it.") from error
    if not callable(found):
        raise DataError(f"{what}, which is no function; name one.")
    file = getattr(module, "__file__", None)
    return found, [Path(file)] if file else []


def _from_file(layout: Layout, name: str) -> Any:
    folder = Path() if layout.path is None else layout.path.parent
    specification = importlib.util.spec_from_file_location("_rewards_of_a_layout", folder / name)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _from_path(layout: Layout, name: str) -> Any:
    """A module that is installed, or lies beside the YAML."""
    folder = str((Path() if layout.path is None else layout.path.parent).resolve())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def rewards_of(
    where: str,
    layout: Layout,
    function: Function | None,
    episode: dict[str, np.ndarray],
    rows: int,
) -> tuple[Float[np.ndarray, "rows"], Bool[np.ndarray, "rows"]]:
    """Reward of every row, and where the episode ends for good.

    Raises:
        DataError: a column holds several numbers a row, or the function fails.
    """
    kind, name = layout.reward or ("none", "")
    last = np.arange(rows) == rows - 1
    reward, success = np.zeros(rows), False
    if kind == "success":
        success = not name or bool(flat(where, episode, name)[-1] > 0)
        reward = np.where(last & success, 1.0, 0.0)
    elif kind == "column":
        reward = flat(where, episode, name)
    elif function is not None:
        reward = _called(where, name, function, episode, rows)
    over, column = layout.terminal or (("always" if success else "never"), "")
    if over == "column":
        flags = flat(where, episode, column)
        if (odd := flags[~np.isin(flags, (0, 1))]).size:
            raise DataError(
                f"{where}: '{printable(column)}', the column of 'terminal', holds {odd[0]:g}; name "
                "one of 0 and 1, or of false and true."
            )
        return reward, flags > 0
    return reward, last & (over == "always")


def _called(
    where: str, name: str, function: Function, episode: dict[str, np.ndarray], rows: int
) -> np.ndarray:
    what = f"{where}: the reward '{printable(name)}'"
    try:
        found = np.asarray(function({k: x.copy() for k, x in episode.items()}), np.float64)
    except Exception as error:  # whatever the user's code raises
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise DataError(f"{what} failed ({reason}); correct the function.") from error
    if found.shape != (rows,):
        raise DataError(f"{what} gave shape {found.shape}; return one number a row, ({rows},).")
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found))[0])
        raise DataError(f"{what} is {found[row]} in row {row}; return finite numbers.")
    return found


def until_over(terminal: Bool[np.ndarray, "rows"]) -> int:
    """Rows up to the first end for good, that one included."""
    return int(terminal.argmax()) + 1 if terminal.any() else len(terminal)
