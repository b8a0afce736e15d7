"""Values of a study's file, checked one by one."""

from typing import Any

from shared.errors import ConfigError
from shared.runs.conversion import refuse_unknown


def text_of(value: Any, where: str) -> str:
    """`value`, if it is a text; else a ConfigError."""
    if not isinstance(value, str):
        raise ConfigError(f"{where} is {value!r}; write a text.")
    return value


def list_of(value: Any, where: str) -> list:
    """`value`, if it is a list, or none; else a ConfigError."""
    if not isinstance(value, list | None):
        raise ConfigError(f"{where} is {value!r}; write a list.")
    return list(value or ())


def mapping_of(value: Any, where: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A copy of `value`, if it is a mapping (of `known` names), or none; else a ConfigError."""
    if not isinstance(value, dict | None):
        raise ConfigError(f"{where}: must be a mapping of names to values.")
    if known is not None:
        refuse_unknown(value or {}, known, where)
    return {str(key): entry for key, entry in (value or {}).items()}
