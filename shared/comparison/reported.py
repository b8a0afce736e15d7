"""Figures of papers and collections, as they were published: shown beside, never counted.

Each file of `published/` holds one table: where it stands, on which version of the data, by which
protocol, over how many seeds, and what stands behind ±.  Names of data sets and algorithms are
this project's; those that it does not have are listed under `foreign`.
"""

import functools
from collections.abc import Collection, Sequence
from importlib import resources
from typing import Any, NamedTuple

import yaml


class Source(NamedTuple):
    """One published table.

    Attributes:
        key: name of its file.
        name: short, for the rows of a table.
        title: of the paper or collection, with the number of the table.
        address: where to find it.
        data: names and versions of the data.
        protocol: what a figure is the mean of.
        seeds: how many, None where it is not said.
        interval: what stands behind ±, None if nothing does.
        unit: of the figures.
        note: what a reader must know; may be empty.
        foreign: names of data sets and algorithms that this project does not have.
    """

    key: str
    name: str
    title: str
    address: str
    data: str
    protocol: str
    seeds: int | None
    interval: str | None
    unit: str
    note: str
    foreign: frozenset[str]


class Figure(NamedTuple):
    """One published number; `spread` is what stands behind ±, None without."""

    source: Source
    algorithm: str
    environment: str
    value: float
    spread: float | None


@functools.cache
def published() -> tuple[Figure, ...]:
    """All figures, by source, algorithm and data set in the order of the files."""
    folder = resources.files("shared.comparison.published")
    files = sorted((x for x in folder.iterdir() if x.name.endswith(".yaml")), key=lambda x: x.name)
    found: list[Figure] = []
    for file in files:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        found += _figures(file.name.removesuffix(".yaml"), content)
    return tuple(found)


def figures_for(environments: Collection[str], algorithms: Sequence[str]) -> list[Figure]:
    """Those of these data sets and algorithms, in the order of the algorithms."""
    found = [x for x in published() if x.environment in environments and x.algorithm in algorithms]
    return sorted(found, key=lambda x: algorithms.index(x.algorithm))


def _figures(key: str, content: dict[str, Any]) -> list[Figure]:
    """Rows of `scores` are data sets, their columns stand under `algorithms`; null: no figure."""
    columns, scores = content.pop("algorithms"), content.pop("scores")
    foreign = frozenset(content.pop("foreign", ()))
    source = Source(key=key, foreign=foreign, **{"note": "", **content})
    cells = (
        (environment, algorithm, cell)
        for environment, row in scores.items()
        for algorithm, cell in zip(columns, row, strict=True)
        if cell is not None
    )
    figures = [Figure(source, a, e, *_number_and_spread(cell)) for e, a, cell in cells]
    return sorted(figures, key=lambda x: columns.index(x.algorithm))


def _number_and_spread(cell: float | int | str) -> tuple[float, float | None]:
    """`83.6`, or `83.6 ± 3.01` with what is known of its spread."""
    value, _, spread = str(cell).partition("±")
    return float(value), float(spread) if spread.strip() else None
