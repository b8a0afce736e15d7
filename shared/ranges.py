"""Ranges of numbers as types: a field `discount: Share` holds a float in [0, 1].

An interval is written as in mathematics: `[0, 1)` holds 0 and not 1, `(0, inf)` every number
above 0.  No interval holds infinity or NaN.
"""

import math
import re
import typing
from typing import Annotated, Any, NamedTuple

_FORM = re.compile(r"([\[(])(\S+), (\S+)([\])])")


class Interval(NamedTuple):
    """The numbers from `low` to `high`, each end with its number or without."""

    low: float
    high: float
    has_low: bool
    has_high: bool

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Of a text such as `(0, 1]`.

        Raises:
            ValueError: it is not of that form, or no number lies in it.
        """
        match = _FORM.fullmatch(text)
        if match is None or not float(match[2]) < float(match[3]):
            raise ValueError(f"'{text}' is not an interval such as '(0, 1]'")
        return cls(float(match[2]), float(match[3]), match[1] == "[", match[4] == "]")

    def holds(self, number: int | float) -> bool:
        """Does the number lie between the ends?"""
        above = number > self.low or (self.has_low and number == self.low)
        below = number < self.high or (self.has_high and number == self.high)
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        ends = "[" if self.has_low else "(", "]" if self.has_high else ")"
        return f"{ends[0]}{self.low:g}, {self.high:g}{ends[1]}"


Count = Annotated[int, Interval.parse("[0, inf)")]
"""Of what there may be none: updates of a phase."""
Size = Annotated[int, Interval.parse("[1, inf)")]
"""Of what there must be one: rows of a batch."""
Sizes = tuple[Size, ...]
"""Widths of hidden layers, the first one first."""
Real = Annotated[float, Interval.parse("(-inf, inf)")]
Positive = Annotated[float, Interval.parse("(0, inf)")]
"""A learning rate, a temperature, a standard deviation that is divided by."""
Amount = Annotated[float, Interval.parse("[0, inf)")]
"""A weight or a noise that 0 switches off."""
Share = Annotated[float, Interval.parse("[0, 1]")]
"""A discount, a share of rows."""
Rate = Annotated[float, Interval.parse("(0, 1]")]
"""A Polyak rate."""
DropRate = Annotated[float, Interval.parse("[0, 1)")]
"""A share of which something must stay: dropout, held-out episodes."""
Level = Annotated[float, Interval.parse("(0, 1)")]
"""Of an expectile."""


def range_of(hint: Any) -> str:
    """The range or the choices of a type in words; empty if it declares none."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Annotated:
        return str(arguments[1])
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(str, arguments))
    return next(filter(None, map(range_of, arguments)), "")
