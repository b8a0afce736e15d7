"""Algorithms by family and name, ours and those of installed packages.

A package adds its own with one entry point in the group
`latent_policies.<family>`, e.g. in its `pyproject.toml`:

    [project.entry-points."latent_policies.cnf"]
    my-method = "my_package.my_method:MyMethod"

and ships `MyMethod.values = Path(...)`, the YAML file with its defaults and presets.

Names are known without importing an algorithm, and JAX with it; so are title and paper of ours.
"""

import ast
import difflib
import functools
import importlib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shared.entry_points import additions
from shared.errors import ConfigError

if TYPE_CHECKING:
    from shared.algorithm import AbstractAlgorithm

FAMILIES = ("cnf", "clap")


class About(NamedTuple):
    """What a listing says of an algorithm."""

    title: str
    paper: str


def ours(family: str) -> dict[str, str]:
    """Name -> `module:Class` of the algorithms that come with this project."""
    # By name, because this package may not depend on the families.
    return importlib.import_module(f"{family}.algorithms").ALGORITHMS


@functools.cache  # looking through all installed packages takes long
def names(family: str) -> tuple[str, ...]:
    """Every registered algorithm of a family, ours first; none is imported."""
    group = entry_points(group=f"latent_policies.{family}")
    return tuple(dict.fromkeys([*ours(family), *(entry.name for entry in group)]))


@functools.cache
def find(family: str, name: str) -> "type[AbstractAlgorithm]":
    """The class of one algorithm.

    Raises:
        ConfigError: no such algorithm (names the nearest one), or one of an installed package
            is broken or hides another.
    """
    if family not in FAMILIES:
        raise ConfigError(f"there is no family '{family}'; choose one of {', '.join(FAMILIES)}.")
    outside, place = _additions(family), ours(family).get(name)
    if place is not None:
        module, _, found = place.partition(":")
        return getattr(importlib.import_module(module), found)
    if name not in outside:
        near = difflib.get_close_matches(name, names(family), n=1, cutoff=0.0)
        hint = f"; the nearest name is '{near[0]}'" if near else "; none is registered"
        raise ConfigError(f"{family} has no algorithm '{name}'{hint}.")
    return outside[name]


def algorithms(family: str) -> "dict[str, type[AbstractAlgorithm]]":
    """Every registered algorithm of a family, name -> class."""
    return {name: find(family, name) for name in names(family)}


def about(family: str, name: str) -> About:
    """Title and paper of an algorithm, of ours read from the source without importing it."""
    place = ours(family).get(name)
    if place is None:
        return About(find(family, name).title, find(family, name).paper)
    module, _, found = place.partition(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    body = next(x for x in tree.body if isinstance(x, ast.ClassDef) and x.name == found).body
    told = {
        x.targets[0].id: x.value.value
        for x in body
        if isinstance(x, ast.Assign) and isinstance(x.targets[0], ast.Name)
        if isinstance(x.value, ast.Constant)
    }
    return About(str(told["title"]), str(told["paper"]))


@functools.cache
def _additions(family: str) -> "dict[str, type[AbstractAlgorithm]]":
    from shared.algorithm import AbstractAlgorithm

    fits = lambda x: isinstance(x, type) and issubclass(x, AbstractAlgorithm)  # noqa: E731
    group, form = f"latent_policies.{family}", "a subclass of AbstractAlgorithm"
    return additions(group, "algorithm", ours(family), fits, form)
