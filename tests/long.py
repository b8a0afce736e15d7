"""Tests that take long, which `scripts/test` leaves out and `scripts/test --all` runs."""

from collections.abc import Iterable
from typing import Any

import pytest


def long_but(values: Iterable[Any], *short: Any) -> list[Any]:
    """Parameters of a test, of which all but `short` make it long."""
    return [
        value
        if value in short
        else pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.long)
        for value in values
    ]
