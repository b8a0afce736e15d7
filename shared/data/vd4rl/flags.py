"""What can be wrong with the rows of one V-D4RL file: refused with file, key and row, or told."""

from pathlib import Path

import numpy as np

from shared.errors import DataError


def check_rows(
    file: Path, rows: dict[str, np.ndarray], is_first: np.ndarray, terminal: np.ndarray
) -> tuple[str, ...]:
    """What is strange about the flags and numbers of one file.

    Arguments:
        file: for the sentences.
        rows: columns by key, of one length.
        is_first: starts of episodes as they are stored.
        terminal: rows at whose frame the episode ended for good.

    Raises:
        DataError: numbers that are not finite, or flags that contradict each other.
    """
    _require_finite(file, rows)
    starts = is_first.copy()
    starts[0] = True
    last = np.append(starts[1:], True)
    _refuse(file, terminal & ~last, "terminal", "but its episode goes on; clear the flag there")
    _refuse(file, starts & last, "an episode of its own", "without an action; drop the row")
    if "step_type" in rows:
        told = _step_types(file, rows["step_type"], starts, last)
    else:
        told = _archive_flags(rows, is_first, terminal, last)
    if rows["reward"][starts].any():
        row = int(np.flatnonzero(starts)[rows["reward"][starts].nonzero()[0][0]])
        told.append(
            f"key 'reward' is not zero in row {row}, the first of an episode, where nothing led "
            "to it; that reward is left out"
        )
    return tuple(told)


def _require_finite(file: Path, rows: dict[str, np.ndarray]) -> None:
    for key, x in rows.items():
        if x.dtype.kind == "f":
            bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
            if bad.size:
                raise DataError(
                    f"{file}: key '{key}' is not finite in row {bad[0]}; drop the episode."
                )
    if "discount" in rows:
        if rows["discount"].ndim != 1:
            raise DataError(
                f"{file}: key 'discount' has shape {rows['discount'].shape}; flatten it."
            )
        bad = np.flatnonzero((rows["discount"] < 0) | (rows["discount"] > 1))
        if bad.size:
            raise DataError(
                f"{file}: key 'discount' is {rows['discount'][bad[0]]:.4g} in row {bad[0]}; store "
                "1 while the task goes on and 0 where it ended for good."
            )


def _refuse(file: Path, wrong: np.ndarray, what: str, mend: str) -> None:
    if wrong.any():
        raise DataError(f"{file}: row {wrong.argmax()} is {what}, {mend}.")


def _step_types(file: Path, kind: np.ndarray, starts: np.ndarray, last: np.ndarray) -> list[str]:
    ended, told = kind == 2, []
    lost = np.flatnonzero(ended & ~last)
    if len(lost) and 2 * len(lost) >= ended.sum():
        raise DataError(
            f"{file}: key 'step_type' is 2 in row {lost[0]}, but not 0 in the row behind it, as in "
            f"{len(lost)} of {ended.sum()} ends; store 0 in the first row of every episode."
        )
    if kind[0] != 0:
        told.append("key 'step_type' is not 0 in row 0, which is read as an episode's first")
    if (unended := np.flatnonzero(last & ~ended)).size:
        told.append(
            f"key 'step_type' is not 2 in row {unended[0]}, the last of an episode; is the episode "
            "cut off?"
        )
    if lost.size:
        told.append(f"key 'step_type' is 2 in row {lost[0]}, but the episode goes on behind it")
    return told


def _archive_flags(
    rows: dict[str, np.ndarray], is_first: np.ndarray, terminal: np.ndarray, last: np.ndarray
) -> list[str]:
    told = []
    if not is_first[0]:
        told.append("key 'is_first' is false in row 0, which is read as an episode's first")
    if "is_last" in rows and rows["is_last"].shape == last.shape:
        wrong = np.flatnonzero(rows["is_last"].astype(bool) != last)
        if wrong.size:
            where = "not true" if last[wrong[0]] else "true"
            told.append(
                f"key 'is_last' is {where} in row {wrong[0]}, against 'is_first'; episodes are cut "
                "at 'is_first' alone"
            )
    if "discount" in rows and "is_terminal" in rows:
        wrong = np.flatnonzero((rows["discount"] == 0) != terminal)
        if wrong.size:
            told.append(
                f"keys 'discount' and 'is_terminal' disagree in row {wrong[0]}; the second one "
                "counts"
            )
    return told
