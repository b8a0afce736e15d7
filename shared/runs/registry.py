"""Algorithms by family and name, ours and those of installed packages.

A package adds its own with one entry point in the group
`latent_policies.<family>`, e.g. in its `pyproject.toml`:

    [project.entry-points."latent_policies.cnf"]
    my-method = "my_package.my_method:MyMethod"

and ships `MyMethod.values = Path(...)`, the YAML file with its defaults.
"""

import difflib
import functools
import importlib

from shared.algorithm import AbstractAlgorithm
from shared.entry_points import additions
from shared.errors import ConfigError

FAMILIES = ("cnf", "clap")


@functools.cache  # looking through all installed packages takes long
def algorithms(family: str) -> dict[str, type[AbstractAlgorithm]]:
    """Every registered algorithm of a family, name -> class."""
    # By name, because this package may not depend on the families.
    found = dict(importlib.import_module(f"{family}.algorithms").ALGORITHMS)
    fits = lambda x: isinstance(x, type) and issubclass(x, AbstractAlgorithm)  # noqa: E731
    group = f"latent_policies.{family}"
    return found | additions(group, "algorithm", found, fits, "a subclass of AbstractAlgorithm")


def find(family: str, name: str) -> type[AbstractAlgorithm]:
    """The class of one algorithm.

    Raises:
        ConfigError: no such algorithm; names the nearest one.
    """
    known = algorithms(family)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; the nearest name is '{near[0]}'" if near else "; none is registered"
        raise ConfigError(f"{family} has no algorithm '{name}'{hint}.")
    return known[name]
