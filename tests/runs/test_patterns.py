"""Which block of values holds for which data set, and which has the last word."""

import itertools

import pytest

from shared.data.catalog import CATALOG, canonical_name
from shared.environments.tasks import ENVIRONMENTS
from shared.errors import ConfigError
from shared.runs import config, registry
from shared.runs.patterns import holds, is_narrower, values_for
from shared.runs.plan import make_plan


def hyperparameters(family, algorithm, dataset, **options):
    return make_plan(family, algorithm, dataset, **options).hyperparameters


def test_every_version_that_is_accepted_gets_its_values():
    versions = [(f"{x.name}-{x.version}", x.name) for x in CATALOG.values() if x.version]
    assert len(versions) == 45 + 17  # of OGBench
    for versioned, name in versions:
        assert canonical_name(versioned) == name
        for algorithm in ("plas", "spot", "rebrac"):
            found = make_plan("cnf", algorithm, versioned, preset="quick")
            assert found == make_plan("cnf", algorithm, name, preset="quick")
            assert found.dataset == name
    assert hyperparameters("cnf", "plas", "hopper-medium-replay-v2")["latent_clip"] == 0.5
    assert hyperparameters("cnf", "spot", "halfcheetah-medium-expert-v2")["lambda_"] == 1.0


def test_a_task_gets_what_holds_for_all_of_its_data_sets():
    assert hyperparameters("cnf", "iql", "hopper")["return_span"] == 1000.0
    assert hyperparameters("clap", "mopo", "hopper")["termination"] == "hopper"
    assert hyperparameters("cnf", "dt", "pen")["target_return"] == 3077.0
    # The quality is not known, so neither is what goes with one.
    assert hyperparameters("cnf", "plas", "hopper")["latent_clip"] == 2.0
    assert hyperparameters("clap", "clap", "antmaze-medium")["support"] == 1.0
    for name, pattern in itertools.product(ENVIRONMENTS, ("*-medium", "*-expert", "*-replay")):
        assert name in CATALOG or not holds(pattern, name)
    assert holds("hopper", "hopper") and holds("antmaze-umaze*", "antmaze-umaze")
    assert not holds("hopper-medium", "hopper") and not holds("hopper-medium*", "hopper")


def test_a_file_s_own_name_says_nothing():
    """`--data my-medium-expert.hdf5` alone is data of a robot that nobody named."""
    assert holds("*", "my-medium-expert") and not holds("*-medium-expert", "my-medium-expert")
    assert canonical_name("my-medium-expert") == "my-medium-expert"
    mine = hyperparameters("cnf", "iql", "hopper-of-mine")
    assert mine["return_span"] is None


def test_the_narrower_pattern_wins_in_any_order():
    narrowing = ["*", "*-expert", "*-medium-expert", "hopper-medium-expert"]
    for one, other in itertools.combinations(narrowing, 2):
        assert is_narrower(other, one) and not is_narrower(one, other)
    assert not is_narrower("*-replay", "hopper-*") and not is_narrower("hopper-*", "*-replay")
    for order in itertools.permutations([(p, {"a": i}) for i, p in enumerate(narrowing)]):
        found = [values_for(x, list(order), "file")["a"] for x in ("hopper-expert", narrowing[3])]
        assert found == [1, 3]
    for robot in ("hopper", "halfcheetah", "walker2d"):
        assert hyperparameters("clap", "clap", f"{robot}-medium-expert")["support"] == 1.0
        assert hyperparameters("clap", "clap", f"{robot}-expert")["support"] == 0.5


def test_two_blocks_that_cross_may_not_disagree():
    blocks = [("hopper-*", {"a": 1, "b": 1}), ("*-replay", {"a": 2, "b": 1})]
    with pytest.raises(ConfigError, match="'hopper-\\*' and '\\*-replay' disagree on 'a' for"):
        values_for("hopper-medium-replay", blocks, "file")
    assert values_for("hopper-medium", blocks, "file") == {"a": 1, "b": 1}
    settled = [*blocks, ("hopper-*-replay", {"a": 3})]
    assert values_for("hopper-medium-replay", settled, "file") == {"a": 3, "b": 1}


FILE = """
defaults:
  {steps: 1, batch_size: 1, hidden_sizes: [1], learning_rate: 1, best_fraction: 1,
  return_weighting: null, chunk: 1, replan: null}
datasets:
  "hopper-*": {batch_size: 3, hidden_sizes: [3], learning_rate: 3}
presets:
  small:
    steps: 2
    batch_size: 2
    "*-medium": {hidden_sizes: [4], learning_rate: 4}
pixels:
  defaults: {steps: 9, batch_size: 9, best_fraction: 0.9}
"""


def test_precedence_from_the_defaults_to_set(tmp_path):
    """defaults < preset < data set < the preset's word on a data set < --set."""
    file = tmp_path / "mine.yaml"
    file.write_text(FILE)
    options = {"dataset": "hopper-medium", "preset": "small", "file": file}
    found = config.resolve(
        registry.find("cnf", "bc"), "bc", overrides={"learning_rate": 5}, **options
    )
    assert found == {
        **{"steps": 2, "batch_size": 3, "hidden_sizes": (4,), "learning_rate": 5.0},
        **{"best_fraction": 1.0, "return_weighting": None, "chunk": 1, "replan": None},
    }
    pixels = config.resolve(registry.find("cnf", "bc"), "bc", pixels=True, **options)
    assert (pixels["steps"], pixels["batch_size"], pixels["best_fraction"]) == (2, 3, 0.9)


def test_a_preset_leaves_a_data_set_its_own():
    for preset in ("stable", "quick", "quick-paper"):
        maze = hyperparameters("clap", "clap", "antmaze-umaze", preset=preset)
        assert (maze["horizon"], maze["latent_action"]) == (15, 16)
    assert hyperparameters("clap", "clap", "humanoid_walk-medium", preset="quick")[
        "latent_action"
    ] == (2 * 21)
