"""What can be wrong with a V-D4RL folder as a whole, and with its pictures.

The rows of a file alone are checked by `flags`; the states, when they are used, by
`checks` as any other file's.
"""

import hashlib
from pathlib import Path

import numpy as np

from shared.data.catalog import Entry
from shared.errors import DataError

_SAMPLE = 64
"""Neighbouring pairs of frames that are looked at, evenly spread."""


def check_folder(
    path: Path, files: list[Path], rows: list, entry: Entry | None, *, declared: bool = False
) -> list[str]:
    """Refuse another convention or task; tell what else is strange.

    Arguments:
        path: the folder, for the sentences.
        files: of the folder.
        rows: `rows.Rows` of each file.
        entry: what the folder is used as, where that is known.
        declared: the range of the actions is declared, so they need not be in [-1, 1].

    Raises:
        DataError: the rows hold the actions taken at a frame, or of another task.
    """
    opening = np.concatenate([x.action[x.is_first] for x in rows])
    moved = np.flatnonzero(np.abs(opening).max(axis=1) > 0)
    if len(moved) > len(opening) / 2:
        raise DataError(
            f"{path}: key 'action' is not zero in the first row of {len(moved)} of {len(opening)} "
            "episodes, so its rows seem to hold the action taken at a frame, not the one that led "
            "to it; move actions and rewards one row down and put zeros first."
        )
    size = rows[0].action.shape[1]
    if entry is not None and size != entry.environment.action_size:
        raise DataError(
            f"{files[0]}: key 'action' has {size} values a row, but {entry.environment.name} has "
            f"{entry.environment.action_size} motors; name the right data set with --env."
        )
    warnings = _remarks(files, [x.remarks for x in rows])
    if len(moved):
        warnings.append(f"{path.name}: {len(moved)} episodes begin with a non-zero action.")
    if all(not x.reward.any() for x in rows):
        warnings.append(f"{path.name}: key 'reward' is zero everywhere; is it the right one?")
    action = np.concatenate([x.action for x in rows])
    if not declared and (too_far := float(np.abs(action).max())) > 1 + 1e-5:
        warnings.append(f"{path.name}: actions reach {too_far:.3g}; they are clipped to [-1, 1].")
    if len(still := np.flatnonzero(action.max(0) == action.min(0))):
        warnings.append(
            f"{path.name}: key 'action' never changes in column {', '.join(map(str, still[:8]))}; "
            "is that motor unused?"
        )
    return warnings + _episode_warnings(files, rows, entry)


def _remarks(files: list[Path], remarks: list[tuple[str, ...]]) -> list[str]:
    """Every kind of remark once: the first, and how many files have some like it."""
    first: dict[str, tuple[str, list[Path]]] = {}
    for file, told in zip(files, remarks, strict=True):
        for sentence in told:
            kind = " ".join(word for word in sentence.split() if not word.strip(",;").isdigit())
            first.setdefault(kind, (sentence, []))[1].append(file)
    return [
        f"{where[0].name}: {sentence} ({len(where)} of {len(files)} files)."
        for sentence, where in first.values()
    ]


def _episode_warnings(files: list[Path], rows: list, entry: Entry | None) -> list[str]:
    """Episodes that are too long, earn too much, or come twice."""
    told, seen = [], {}
    for file, x in zip(files, rows, strict=True):
        key = hashlib.sha256(x.action.tobytes() + x.reward.tobytes()).digest()
        if key in seen:
            told.append(
                f"{file.name}: repeats the rows of {seen[key].name}; drop one, or it counts twice."
            )
        seen.setdefault(key, file)
        first = np.flatnonzero(x.is_first)
        lengths = np.diff(np.append(first, len(x.reward)))
        returns = np.add.reduceat(x.reward.astype(np.float64), first)
        if entry is None:
            continue
        known, longest, best = entry.environment, int(lengths.argmax()), int(returns.argmax())
        if 0 < known.horizon < lengths[longest] - 1:
            told.append(
                f"{file.name}: the episode from row {first[longest]} has {lengths[longest]} rows, "
                f"but {known.name} stops after {known.horizon} actions; is the action repeat 2, "
                "and every start flagged?"
            )
        if returns[best] > 1.05 * known.maximum:
            told.append(
                f"{file.name}: key 'reward' sums to {returns[best]:,.5g} from row {first[best]}, "
                f"more than {known.maximum:,.0f}, the most that {known.name} can give; are the "
                "rewards scaled?"
            )
    return told[:8] + ([f"{len(told) - 8} more files like these."] if len(told) > 8 else [])


def check_frames(path: Path, image: np.ndarray) -> list[str]:
    """What is strange about a sample of the frames.

    Arguments:
        path: for the sentences.
        image: (frames, height, width, 3) uint8, perhaps mapped.

    Raises:
        DataError: they never change, or hold 0 and 1 only.
    """
    numbers = np.unique(np.linspace(0, len(image) - 2, min(_SAMPLE, len(image) - 1)).astype(int))
    shown, following = image[numbers], image[numbers + 1]
    if (shown == shown[0]).all() and (following == shown[0]).all():
        raise DataError(
            f"{path}: frames never change ({len(numbers)} pairs looked at, from frame 0); record "
            "what the camera saw."
        )
    if shown.max() <= 1:
        raise DataError(
            f"{path}: frames hold only 0 and 1; multiply pictures of 0..1 by 255 before they are "
            "stored as uint8."
        )
    told = []
    if (shown[..., :1] == shown).all():
        told.append(f"{path.name}: frames are grey, all three channels are equal.")
    same = (shown == following).all(axis=(1, 2, 3))
    if same.mean() > 0.5:
        told.append(
            f"{path.name}: {same.sum()} of {len(same)} frames looked at equal the next one (first "
            f"{numbers[same.argmax()]}); is the camera slower than the actions?"
        )
    return told
