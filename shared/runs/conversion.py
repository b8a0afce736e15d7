"""Values as the type that a key declares, inside the range that goes with it."""

import difflib
import math
import types
import typing
from collections.abc import Iterable
from typing import Any

from shared.errors import ConfigError


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as type `hint`, or a ConfigError; never rounds and never guesses.

    Arguments:
        value: from YAML.
        hint: int, float, bool or str, with a range (`shared/ranges.py`) or without; a `Literal`,
            a tuple of equal ones, or one of these or None.
        where: file and key, for errors.

    Raises:
        ConfigError: it is of another type or out of range; names the key, the value and what fits.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        number, interval = convert(value, arguments[0], where), arguments[1]
        if not interval.holds(number):
            raise ConfigError(f"{where} is {value!r}; it must lie in {interval}.")
        return number
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return convert(value, next(a for a in arguments if a is not type(None)), where)
    if origin is typing.Literal:
        if value not in arguments:
            near = nearest_name(str(value), [str(a) for a in arguments])
            raise ConfigError(f"{where} is {value!r}; choose one of {list(arguments)}{near}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {value!r}; write a list such as [256, 256].")
        return tuple(convert(v, arguments[0], f"{where}[{i}]") for i, v in enumerate(value))
    return _convert_scalar(value, hint, where)


def _convert_scalar(value: Any, hint: type, where: str) -> Any:
    wrong = ConfigError(f"{where} is {value!r}; it must be of type {hint.__name__}.")
    if hint not in (int, float) or isinstance(value, bool):
        if not isinstance(value, hint) or isinstance(value, bool) != (hint is bool):
            raise wrong
        return value
    try:  # YAML reads 1e-3 as text
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    if not math.isfinite(number):
        raise ConfigError(f"{where} is {value!r}; it must be a finite number.")
    if hint is float:
        return number
    if number != int(number):
        raise wrong
    return value if isinstance(value, int) else int(number)


def refuse_unknown(values: dict[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse keys that nobody knows.

    Raises:
        ConfigError: there is one; names the nearest that is known.
    """
    known = list(known)
    for key in values:
        if key not in known:
            near = nearest_name(str(key), known)
            raise ConfigError(f"{where}: unknown key '{key}'{near}.")


def nearest_name(word: str, known: list[str]) -> str:
    """The end of a sentence that names the known word most like this one, if there is any."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"; the nearest valid name is '{match[0]}'" if match else ""
