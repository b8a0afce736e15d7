"""What a simulator may answer with: each function returns the sound value or raises `Unfit`."""

from typing import Any

import numpy as np

LARGEST = float(np.finfo(np.float32).max)


class Unfit(Exception):
    """The message goes on behind "the simulator X"."""


def observation(found: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Finite numbers of this shape, unchanged; of three axes, a uint8 frame."""
    numbers = _array("observation", found)
    if numbers.shape != shape:
        raise Unfit(f"gave an observation of shape {numbers.shape}, not {shape}")
    if len(shape) == 3:
        if numbers.dtype != np.uint8:
            raise Unfit(f"gave a frame of {numbers.dtype}, not of uint8")
    elif not np.abs(numbers).max(initial=0.0) <= LARGEST:  # false for NaN, too
        k = int(np.flatnonzero(~(np.abs(numbers.ravel()) <= LARGEST))[0])
        raise Unfit(f"gave an observation whose number {k} is {numbers.ravel()[k]}")
    return numbers


def reward(found: Any) -> float:
    """One finite number."""
    numbers = _array("reward", found)
    if numbers.size != 1:
        raise Unfit(f"gave a reward of shape {numbers.shape}, not a number")
    if not abs(numbers.item()) <= LARGEST:
        raise Unfit(f"gave a reward of {numbers.item()}")
    return float(numbers.item())


def flag(what: str, found: Any) -> bool:
    """One truth value, or a number that is 0 or 1."""
    numbers = _array(what, found)
    if numbers.size != 1:
        raise Unfit(f"gave a {what} of shape {numbers.shape}, not true or false")
    if numbers.item() not in (0, 1):
        raise Unfit(f"gave a {what} of {numbers.item()}, not true or false")
    return bool(numbers.item())


def picture(found: Any) -> np.ndarray:
    """Colours (height, width, 3) uint8."""
    colours = _array("picture", found)
    if colours.dtype != np.uint8 or colours.ndim != 3 or colours.shape[2] != 3:
        raise Unfit(
            f"drew {colours.dtype} of shape {colours.shape}, not uint8 of (height, width, 3)"
        )
    return colours


def rate(metadata: Any) -> float:
    """Pictures a second that a simulator declares, or 30."""
    found = (metadata or {}).get("render_fps")
    sound = isinstance(found, int | float) and 0 < found < np.inf
    return float(found) if sound else 30.0


def reason(error: BaseException) -> str:
    """One line of what another package's code raised."""
    text = " ".join(str(error).split())[:200].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _array(what: str, found: Any) -> np.ndarray:
    try:
        array = np.asarray(found)
    except ValueError:  # ragged
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise Unfit(f"gave {type(found).__name__} as {what}, not numbers")
    return array
