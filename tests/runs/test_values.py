"""Every value of every run: the committed table, declared ranges, blocks that match something."""

import dataclasses
import difflib
import math
import typing
from pathlib import Path

import pytest

from shared.data.catalog import CATALOG
from shared.environments.tasks import ENVIRONMENTS
from shared.errors import ConfigError
from shared.ranges import Interval, range_of
from shared.runs import config, registry
from shared.runs.patterns import holds
from shared.runs.plan import make_plan
from shared.runs.value_table import value_table
from shared.training.settings import RunSettings

ALGORITHMS = [(family, name) for family in registry.FAMILIES for name in registry.ours(family)]
ROOT = Path(__file__).parents[2]


def test_the_table_of_all_values_is_the_committed_one():
    committed = (ROOT / "configs" / "resolved.csv").read_text("utf-8").splitlines()
    now = value_table().splitlines()
    changed = difflib.unified_diff(committed, now, "committed", "now", lineterm="", n=0)
    assert committed == now, "read, then run scripts/resolved:\n" + "\n".join(changed)


@pytest.mark.parametrize(("family", "name"), [*ALGORITHMS, ("", "run")])
def test_every_number_declares_its_range(family, name):
    owner = registry.find(family, name) if family else RunSettings
    hints = typing.get_type_hints(owner, include_extras=True)
    plain = typing.get_type_hints(owner)
    for field in dataclasses.fields(owner):
        is_number = "int" in str(plain[field.name]) or "float" in str(plain[field.name])
        assert bool(range_of(hints[field.name])) or not is_number, field.name


@pytest.mark.parametrize(("family", "name"), [*ALGORITHMS, ("", "run")])
def test_every_block_is_of_some_data_set(family, name):
    """A misspelt pattern would lose its values without a word."""
    document = config.load_values(name)
    for part in (document, document["pixels"]):
        in_presets = (block for preset in part["presets"].values() for block in preset.items())
        blocks = [*part["datasets"], *(k for k, v in in_presets if isinstance(v, dict))]
        for pattern in blocks:
            assert any(holds(pattern, x) for x in (*CATALOG, *ENVIRONMENTS)), pattern


OUT_OF_RANGE = {
    "batch_size=-5": "'batch_size' is -5; it must lie in [1, inf).",
    "batch_size=0": "'batch_size' is 0; it must lie in [1, inf).",
    "steps=-1": "'steps' is -1; it must lie in [0, inf).",
    "discount=99": "'discount' is 99; it must lie in [0, 1].",
    "learning_rate=-1": "'learning_rate' is -1; it must lie in (0, inf).",
    "learning_rate=0": "'learning_rate' is 0; it must lie in (0, inf).",
    "hidden_sizes=[0]": "'hidden_sizes'[0] is 0; it must lie in [1, inf).",
    "hidden_sizes=[64, -64]": "'hidden_sizes'[1] is -64; it must lie in [1, inf).",
    "dropout=1": "'dropout' is 1; it must lie in [0, 1).",
    "expectile=1": "'expectile' is 1; it must lie in (0, 1).",
    "tau=0": "'tau' is 0; it must lie in (0, 1].",
    "discount=.nan": "'discount' is nan; it must be a finite number.",
    "reward_shift=-.inf": "'reward_shift' is -inf; it must be a finite number.",
    "reward_shift=inf": "'reward_shift' is 'inf'; it must be a finite number.",
    "steps=.inf": "'steps' is inf; it must be a finite number.",
    "steps_per_call=0": "'steps_per_call' is 0; it must lie in [1, inf).",
    "validation_fraction=1": "'validation_fraction' is 1; it must lie in [0, 1).",
    "episodes=0": "'episodes' is 0; it must lie in [1, inf).",
}


@pytest.mark.parametrize("pair", OUT_OF_RANGE)
def test_a_value_out_of_range_is_one_sentence(pair):
    key = pair.partition("=")[0]
    name = "iql" if key in registry.find("cnf", "iql").__dataclass_fields__ else "bc"
    with pytest.raises(ConfigError) as caught:
        make_plan("cnf", name, "hopper-medium", overrides=config.parse_overrides((pair,)))
    assert str(caught.value).endswith(OUT_OF_RANGE[pair])


def test_a_swept_value_is_checked_like_any_other():
    with pytest.raises(ConfigError, match="'support' is -1.0; it must lie in"):
        make_plan("clap", "clap", "hopper-medium", overrides={"support": -1.0})


def test_an_interval_says_which_ends_it_holds():
    half_open = Interval.parse("[0, 1)")
    assert half_open.holds(0) and not half_open.holds(1) and not half_open.holds(math.nan)
    assert not Interval.parse("(0, inf)").holds(0) and Interval.parse("(0, inf)").holds(1e-9)
    assert not Interval.parse("(-inf, inf)").holds(math.inf)
    assert [str(Interval.parse(x)) for x in ("(0, 1]", "(-inf, inf)")] == ["(0, 1]", "(-inf, inf)"]
    for text in ("0, 1", "[1, 0]", "[0,1]"):
        with pytest.raises(ValueError, match="is not an interval"):
            Interval.parse(text)
