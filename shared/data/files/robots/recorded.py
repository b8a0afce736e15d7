"""A recording as it was read: episodes of named columns, before anything is made of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from shared.data.files.robots.layout_values import Part
from shared.errors import DataError, printable


class Recording(NamedTuple):
    """Episodes as they lie in files.

    Attributes:
        form: "lerobot", "table" or "demos".
        episodes: name -> (rows, ...) of each; the names are the same in all of them.
        labels: what to call each episode in a sentence.
        files: everything that was read, for the digest.
        columns: all names that there are.
        rate: rows a second, where the recording says it.
        names: column -> what its numbers are called.
        notes: sentences on how it was read.
    """

    form: str
    episodes: list[dict[str, np.ndarray]]
    labels: list[str]
    files: list[Path]
    columns: tuple[str, ...]
    rate: float | None = None
    names: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()


def require_columns(where: Path, wanted: Iterable[str], there: Sequence[str]) -> None:
    """Raise a DataError for the first column that is not there."""
    for name in wanted:
        if name not in there:
            listed = ", ".join(printable(x) for x in there[:12])
            more = ", ..." if len(there) > 12 else ""
            raise DataError(
                f"{where}: there is no column '{printable(name)}' (but {listed}{more}); correct "
                "the name in the YAML."
            )


def joined(
    where: str, episode: dict[str, np.ndarray], parts: Sequence[Part]
) -> Float[np.ndarray, "rows size"]:
    """Columns side by side, in float64 if one of them is, else in float32.

    Raises:
        DataError: they are no numbers, pictures, or have no such part.
    """
    found = []
    for part in parts:
        x = episode[part.name]
        what = f"{where}: '{printable(part.name)}'"
        if x.dtype.kind not in "biuf" or x.ndim > 2 and x.dtype == np.uint8:
            raise DataError(f"{what} holds {x.dtype}, no numbers of a state; leave it out.")
        x = x.reshape(len(x), -1)
        if part.stop is not None and part.stop > x.shape[1]:
            raise DataError(
                f"{what} has {x.shape[1]} numbers a row, so there is no {part}; correct it."
            )
        found.append(x[:, slice(part.start, part.stop)])
    if len({len(x) for x in found}) > 1:
        told = ", ".join(f"{x.name} {len(y)}" for x, y in zip(parts, found, strict=True))
        raise DataError(f"{where}: columns have different lengths ({told}); align them.")
    exact = any(x.dtype.itemsize > 4 for x in found)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate(found, axis=1).astype(np.float64 if exact else np.float32)


def labels_of(recording: Recording, parts: Sequence[Part]) -> list[str]:
    """What each number of `joined` is called."""
    found, first = [], recording.episodes[0]
    for part in parts:
        size = int(np.prod(first[part.name].shape[1:], dtype=int))
        own = recording.names.get(part.name, [])
        own = own if len(own) == size else [f"{part.name}[{k}]" for k in range(size)]
        found += ([part.name] if size == 1 else own)[slice(part.start, part.stop)]
    return found


def flat(where: str, episode: dict[str, np.ndarray], name: str) -> Float[np.ndarray, "rows"]:
    """One number a row, in float64.

    Raises:
        DataError: there are several, or none.
    """
    x = joined(where, episode, [Part(name)])
    if x.shape[1] != 1:
        raise DataError(
            f"{where}: '{printable(name)}' holds {x.shape[1]} numbers a row; name a column of one."
        )
    return x[:, 0].astype(np.float64)
