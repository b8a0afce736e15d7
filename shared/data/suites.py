"""Suites: lists of data sets by name, from `configs/benchmarks.yaml`."""

import fnmatch
from importlib import resources
from typing import Any

from shared.data.catalog import CATALOG
from shared.environments.tasks import nearest
from shared.errors import ConfigError
from shared.storage.yaml_text import load_yaml


def suites() -> dict[str, list[str]]:
    """Every suite's patterns of data set names."""
    return _document()["suites"]


def is_seen_in_pixels(suite: str) -> bool:
    """Is this suite one of pictures, unless the user asks for states?"""
    return suite in _document()["pixels"]


def _document() -> dict[str, Any]:
    return load_yaml((resources.files("configs") / "benchmarks.yaml").read_text())


def data_sets(name: str) -> list[str]:
    """The data sets of a suite, in its order.

    Raises:
        ConfigError: no such suite (names the nearest).
    """
    known = suites()
    if name not in known:
        near = nearest(name, known)
        raise ConfigError(f"suite '{name}' does not exist; the nearest name is '{near}'.")
    found = (x for pattern in known[name] for x in fnmatch.filter(CATALOG, pattern))
    return list(dict.fromkeys(found))
