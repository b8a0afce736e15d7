"""Numbers and intervals as texts, the same in every table."""

import math

from shared.comparison.statistics import Interval


def format_number(value: float | None, digits: int = 1) -> str:
    """A number with `digits` decimals, or n/a."""
    return "n/a" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def format_interval(interval: Interval | None, digits: int = 1) -> str:
    """`[low, high]`; a single seed has none."""
    if interval is None:
        return "n/a (1 seed)"
    return f"[{interval.low:,.{digits}f}, {interval.high:,.{digits}f}]"


def format_count(count: int) -> str:
    """`20k`, `12.5k` or `1M` where that is exact, else `12,345`."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit and count * 10 % unit == 0:
            return f"{count / unit:g}{letter}"
    return f"{count:,}"


def digits_of(value: float | None) -> int:
    """Decimals of a return: none from 1,000 on, two below 10, so that a success rate reads."""
    if value is None or math.isnan(value):
        return 1
    return 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2


def with_other(first: str, *others: str) -> str:
    """`first (other)`, or `first` alone where the other says the same or nothing."""
    return first if not others or others[0] in (first, "n/a") else f"{first} ({others[0]})"
