"""Published figures: their names are ours or marked as foreign, their sources are told."""

import pytest

from shared.comparison.reported import figures_for, published
from shared.data.catalog import CATALOG
from shared.runs import registry


def test_every_name_is_ours_or_foreign():
    algorithms = {name for family in registry.FAMILIES for name in registry.algorithms(family)}
    ours = algorithms | set(CATALOG)
    for figure in published():
        for name in (figure.algorithm, figure.environment):
            assert name in ours | figure.source.foreign, (figure.source.key, name)


def test_every_source_says_where_and_how():
    for source in {figure.source for figure in published()}:
        own = [figure for figure in published() if figure.source == source]
        assert all((source.name, source.title, source.address, source.data, source.protocol))
        assert all(f.spread is None for f in own) == (source.interval is None), source.key
        used = {f.algorithm for f in own} | {f.environment for f in own}
        assert source.foreign <= used, source.key


@pytest.mark.wheel
def test_the_tables_are_shipped():
    found = figures_for(["walker2d-medium-expert", "maze2d-large"], ["plas", "cnf"])
    values = {(f.source.key, f.algorithm, f.environment): f.value for f in found}
    assert values["cnf", "cnf", "maze2d-large"] == 212.8
    assert values["plas-locomotion", "plas", "walker2d-medium-expert"] == 89.6
    assert values["plas-other-tasks", "plas", "maze2d-large"] == 122.7
    assert [f.algorithm for f in found] == sorted((f.algorithm for f in found), reverse=True)
    assert {f.source.name for f in published()} == {
        "CNF paper", "PLAS paper", "SPOT poster", "CORL", "V-D4RL paper", "OfflineRL-Kit",
        "QAM runs on OGBench",
    }  # fmt: skip
