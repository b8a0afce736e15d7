"""Values of a layout's keys: each reader takes the words of its place and what the YAML holds."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from shared.errors import DataError, printable

_PART = re.compile(r"(.+?)\[(\d{1,6})(?::(\d{1,6}))?\]")
MOST_COLUMNS = 1000


class Part(NamedTuple):
    """A column, or the numbers from `start` to before `stop` of one that holds several."""

    name: str
    start: int | None = None
    stop: int | None = None

    def __str__(self) -> str:
        if self.start is None or self.stop is None:
            return self.name
        place = f"{self.start}:{self.stop}" if self.stop > self.start + 1 else str(self.start)
        return f"{self.name}[{place}]"


def text(what: str, value: Any) -> str:
    """A name."""
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{what} must be the name of a column, not {_told(value)}; correct it.")
    return value


def columns(what: str, value: Any) -> tuple[Part, ...]:
    """One or several names, each once."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or len(names) > MOST_COLUMNS:
        raise DataError(f"{what} must be a list of columns, such as [x, v]; correct it.")
    parts = tuple(_part(what, text(what, name)) for name in names)
    if twice := next((x for k, x in enumerate(parts) if x in parts[:k]), None):
        raise DataError(f"{what} names '{printable(str(twice))}' twice; leave one of them out.")
    return parts


def _part(what: str, name: str) -> Part:
    match = _PART.fullmatch(name)
    if match is None:
        return Part(name)
    start = int(match[2])
    stop = start + 1 if match[3] is None else int(match[3])
    if stop <= start:
        raise DataError(f"{what} takes nothing of '{printable(name)}'; write NAME[0:7] for seven.")
    return Part(match[1], start, stop)


def number(what: str, value: Any) -> float:
    """Above zero."""
    if not _is_number(value) or value <= 0:
        raise DataError(f"{what} must be a number above 0, not {_told(value)}; correct it.")
    return float(value)


def truth(what: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise DataError(f"{what} must be true or false, not {_told(value)}; correct it.")
    return value


def one_of(*choices: Any) -> Callable[[str, Any], Any]:
    """A reader of one of some values."""

    def read(what: str, value: Any) -> Any:
        if isinstance(value, bool) or value not in choices:
            told = " or ".join(map(str, choices))
            raise DataError(f"{what} must be {told}, not {_told(value)}; correct it.")
        return value

    return read


def reward(what: str, value: Any) -> tuple[str, str]:
    """Kind of the reward and what goes with it."""
    if value is None or value == "none":
        return "none", ""
    if value == "success":
        return "success", ""
    kinds = ("success", "column", "function")
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in kinds:
        ((kind, name),) = value.items()
        return kind, text(f"{what} {kind}", name)
    raise DataError(
        f"{what} must be none, success, {{success: COLUMN}}, {{column: COLUMN}} or {{function: "
        f"FILE.py:NAME}}, not {_told(value)}; correct it."
    )


def terminal(what: str, value: Any) -> tuple[str, str]:
    """Kind of an end for good and what goes with it."""
    if value in ("never", "always"):
        return value, ""
    if isinstance(value, dict) and list(value) == ["column"]:
        return "column", text(f"{what} column", value["column"])
    raise DataError(
        f"{what} must be never, always or {{column: COLUMN}}, not {_told(value)}; correct it."
    )


def action_range(what: str, value: Any) -> str | float | tuple[tuple[float, float], ...]:
    """From the data, between percentiles of them, or given."""
    if value == "data":
        return "data"
    if isinstance(value, dict) and list(value) == ["percentile"]:
        percent = value["percentile"]
        if not _is_number(percent) or not 0 <= percent < 50:
            raise DataError(
                f"{what} percentile must lie from 0 to below 50, as 1 for the middle 98 %; "
                "correct it."
            )
        return float(percent)
    pairs: list[Any] = value if isinstance(value, list) and value else [None]
    if all(isinstance(x, list) and len(x) == 2 and all(map(_is_number, x)) for x in pairs):
        if all(low < high for low, high in pairs):
            return tuple((float(low), float(high)) for low, high in pairs)
    raise DataError(
        f"{what} must be data, {{percentile: 1}} or [[low, high], ...] with low below high, a "
        f"pair an action, not {_told(value)}; correct it."
    )


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _told(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return f"'{printable(str(value))}'"
