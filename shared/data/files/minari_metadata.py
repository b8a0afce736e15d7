"""What a Minari data set says of itself: its spaces, and whether its pictures are JPEG files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.files.attributes import Attributes, plain_attributes
from shared.data.files.signature import AGAIN
from shared.data.recording.units import RANGE_KEYS
from shared.errors import DataError, printable

_METADATA_BYTES = 1 << 24


def metadata_of(path: Path) -> dict[str, Any]:
    """The mapping in `metadata.json`.

    Raises:
        DataError: it is none.
    """
    try:
        if path.stat().st_size > _METADATA_BYTES:
            raise ValueError("too long")
        about = json.loads(path.read_text("utf-8"))
        if not isinstance(about, dict):
            raise ValueError("no mapping")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or printable(str(error), 120)
        raise DataError(f"{path}: cannot be read ({reason}); {AGAIN}.") from error
    return about


def spaces_of(about: dict[str, Any]) -> dict[str, dict]:
    """Key -> JSON of the space of every array in an observation, in order; empty if unknown."""

    def walk(space: Any, prefix: str) -> dict[str, dict]:
        if not isinstance(space, dict):
            return {}
        parts = space.get("subspaces")
        if isinstance(parts, list):
            parts = {f"_index_{i}": x for i, x in enumerate(parts)}
        if not isinstance(parts, dict):
            return {prefix: space}
        return {k: v for name, x in parts.items() for k, v in walk(x, f"{prefix}/{name}").items()}

    try:
        return walk(json.loads(about["observation_space"]), "observations")
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}


def range_of(about: dict[str, Any]) -> Attributes:
    """The bounds of the actions' space, if they are plain numbers and not those of [-1, 1]."""
    try:
        space = json.loads(about["action_space"])
        ends = [np.ravel(np.asarray(space[end], np.float64)) for end in ("low", "high")]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    if all(np.isin(np.abs(x), (1.0, np.inf)).all() for x in ends):
        return {}
    return plain_attributes({k: x.tolist() for k, x in zip(RANGE_KEYS, ends, strict=True)})


def refuse_jpegs(file: Path, about: dict[str, Any], spaces: dict[str, dict]) -> None:
    """Pictures from 32 x 32 on are JPEG files of variable length, unless Minari is told not to."""
    for key, space in spaces.items():
        shape = space.get("shape")
        sizes = [n for n in shape[:2] if isinstance(n, int)] if isinstance(shape, list) else []
        large = len(sizes) == 2 and min(sizes) >= 32 and space.get("dtype") == "uint8"
        if large and about.get("jpeg_encoding", True):
            raise DataError(
                f"{file}: '{key}' holds JPEG files, which are not decoded here; write the set with "
                "jpeg_encoding=False."
            )
