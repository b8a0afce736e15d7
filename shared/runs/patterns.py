"""Which data set blocks of a file hold for a data set, and which of them wins.

The name of a block is a pattern: `*` stands for any letters.  Of two patterns that hold the
narrower one wins, wherever the two stand in the file: `hopper-medium-*` before `hopper-*`, and
`*-medium-expert` before `*-expert`.  If neither is narrower (`hopper-*` and `*-replay`) neither
wins: they may not disagree on a key unless a narrower block has the last word on it.

A task, as in `--env hopper --data FILE`, is data of the robot whose quality nobody names.  It gets
the blocks that hold whatever the quality: `hopper-*`, but neither `*-medium` nor `hopper-medium`.
Data of a robot without a name (`--data FILE` alone) get no block.
"""

from fnmatch import fnmatchcase
from typing import Any

from shared.data.catalog import is_data_set
from shared.environments.tasks import environments
from shared.errors import ConfigError

Block = tuple[str, dict[str, Any]]
"""A pattern, and the values of the data sets that it matches."""

_ANY_QUALITY = "\N{HORIZONTAL ELLIPSIS}"
"""Stands for a task's missing quality; no pattern but a `*` matches it."""


def holds(pattern: str, name: str) -> bool:
    """Does a block of this pattern hold for a data set or task, by its canonical name?"""
    if is_data_set(name):
        return fnmatchcase(name, pattern)
    shown = f"{name}-{_ANY_QUALITY}" if name in environments() else ""
    return pattern == name or fnmatchcase(shown, pattern)


def is_narrower(one: str, other: str) -> bool:
    """Does `other` match all that `one` does, and more?"""
    return fnmatchcase(one, other) and not fnmatchcase(other, one)


def values_for(name: str, blocks: list[Block], where: str) -> dict[str, Any]:
    """What the blocks say of one data set, the narrowest first.

    Arguments:
        name: data set or task, by its canonical name.
        blocks: of one part of a file, in any order.
        where: that part, for errors.

    Raises:
        ConfigError: two blocks disagree, and neither is narrower.
    """
    holding = [(pattern, block) for pattern, block in blocks if holds(pattern, name)]
    found = {}
    for key in dict.fromkeys(key for _, block in holding for key in block):
        said = {pattern: block[key] for pattern, block in holding if key in block}
        last = [p for p in said if not any(is_narrower(other, p) for other in said)]
        found[key] = said[last[0]]
        for pattern in last[1:]:
            if said[pattern] != found[key]:
                raise ConfigError(
                    f"{where}: '{last[0]}' and '{pattern}' disagree on '{key}' for '{name}', and "
                    f"neither is narrower; add a block '{name}' that says it."
                )
    return found
