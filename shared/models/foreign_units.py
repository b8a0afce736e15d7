"""In which units a decoder of somebody else answers, and the way from there to [-1, 1].

    action = 2 (answer - low) / (high - low) - 1,   clipped to [-1, 1]

A file of `export --part decoder` answers in commands of the robot, and its manifest tells their
range.  A file of another library answers in [-1, 1], unless it brings a range (the metadata
`action_range` of an ONNX model: [lows, highs] in JSON) or the user gives one.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.errors import ConfigError


class AnswerRange(NamedTuple):
    """Lowest and highest answer of every motor; plain numbers, to be a static field."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def undone(self, answers: Any) -> Any:
        """Answers (..., size) in [-1, 1], not clipped; of a chunk, the motors of every action."""
        times = answers.shape[-1] // len(self.low)
        low, high = (np.tile(np.float64(end), times) for end in self)
        center, half = np.float32((low + high) / 2), np.float32((high - low) / 2)
        return (answers - center) / half

    def __str__(self) -> str:
        return f"from {[*self.low]} to {[*self.high]}"


def range_of_pairs(numbers: Sequence[float], where: str) -> AnswerRange:
    """Of `low, high` for every motor, one pair after the other.

    Raises:
        ConfigError: no pairs, or one that goes down.
    """
    if not numbers or len(numbers) % 2:
        raise ConfigError(f"{where} has {len(numbers)} numbers; write low, high for every motor.")
    return _checked(AnswerRange(tuple(numbers[::2]), tuple(numbers[1::2])), where)


def manifest_of(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """What a file says of itself: our manifest, or no more than a range; empty if nothing.

    Raises:
        ConfigError: that is no JSON.
    """
    try:
        if "manifest" in metadata:
            return dict(json.loads(metadata["manifest"]))
        known = metadata.get("action_range")
        return {} if known is None else {"action_range": json.loads(known)}
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{name}: its metadata are no JSON; write action_range as [lows, highs]."
        ) from error


def range_of_manifest(manifest: Mapping[str, Any], name: str) -> AnswerRange | None:
    """The range that a file declares; None if it answers in [-1, 1].

    Raises:
        ConfigError: it is no range, or the file takes observations that float32 cannot hold.
    """
    if manifest.get("observation_offset") is not None:
        raise ConfigError(
            f"{name}: takes observations in float64, far from zero; such a decoder cannot be "
            "steered. Train one on data without that offset."
        )
    found = manifest.get("action_range")
    if found is None:
        return None
    try:
        low, high = (tuple(float(x) for x in end) for end in found)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: its action_range is not [lows, highs]; mend it.") from error
    return _checked(AnswerRange(low, high), f"{name}: action_range")


def _checked(bounds: AnswerRange, where: str) -> AnswerRange:
    low, high = (np.asarray(end, np.float64) for end in bounds)
    fits = low.shape == high.shape and low.size and np.isfinite(low).all() and (low < high).all()
    if not fits or not np.isfinite(high).all():
        raise ConfigError(f"{where} goes {bounds}; every motor's lowest must be below its highest.")
    return bounds


def require_same_units(
    name: str, own: AnswerRange | None, of_data: tuple[np.ndarray, np.ndarray] | None
) -> None:
    """Refuse a decoder of ours whose commands have another range than those of the data.

    Raises:
        ConfigError: the ranges differ.
    """
    ends = (-1.0, 1.0) if of_data is None else of_data
    wanted = (-1.0, 1.0) if own is None else own
    try:
        same = all(np.allclose(x, y) for x, y in zip(wanted, ends, strict=True))
    except ValueError:  # of another number of motors
        same = False
    if not same:
        told = "-1 to 1" if of_data is None else AnswerRange(*(tuple(x.tolist()) for x in of_data))
        raise ConfigError(
            f"{name}: its commands go {own or 'from -1 to 1'}, those of the data {told}; declare "
            "the data's range (--set action_range=...), or the decoder's (--set decoder_range=...)."
        )
