"""An algorithm of another package: found by its entry point, with values and presets of its own."""

import sys

import pytest

from shared.errors import ConfigError
from shared.runs import registry
from shared.runs.plan import Plan, make_plan

MODULE = """
from pathlib import Path

from cnf.algorithms.bc import BC
from shared.algorithm import hyperparameter
from shared.ranges import Share


class Mine(BC):
    mixture: Share = hyperparameter("share of something")
    title = "Mine: a method of another package"
    paper = "nobody 2026"
    values = Path(__file__).with_name("mine.yaml")
"""
VALUES = """
defaults:
  {steps: 100, batch_size: 8, hidden_sizes: [8], learning_rate: 1, best_fraction: 1, mixture: 0.5,
  return_weighting: null, chunk: 1, replan: null}
datasets:
  "hopper-*": {mixture: 0.25}
presets:
  thorough: {steps: 900, "*-medium": {mixture: 0.75}}
  quick: {steps: 10}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """`install(text)`: a real package with these entry points, found as an installed one is."""

    def install(text):
        about = tmp_path / "mine-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(text)
        (tmp_path / "mine.py").write_text(MODULE)
        (tmp_path / "mine.yaml").write_text(VALUES)
        monkeypatch.syspath_prepend(str(tmp_path))
        forget()

    def forget():
        sys.modules.pop("mine", None)
        for cached in (registry.names, registry.find, registry._additions):
            cached.cache_clear()

    yield install
    monkeypatch.undo()
    forget()


def test_its_values_and_presets_are_used(install):
    install("[latent_policies.cnf]\nmine = mine:Mine\n")
    assert registry.names("cnf")[-1] == "mine" and "mine" not in sys.modules
    assert registry.about("cnf", "mine") == ("Mine: a method of another package", "nobody 2026")
    paper = make_plan("cnf", "mine", "hopper-medium-v2")
    assert (paper.hyperparameters["steps"], paper.hyperparameters["mixture"]) == (100, 0.25)
    own = make_plan("cnf", "mine", "hopper-medium", preset="thorough")
    assert (own.hyperparameters["steps"], own.hyperparameters["mixture"]) == (900, 0.75)
    assert own.settings == paper.settings  # no word of ours on a preset of this name
    shared = make_plan("cnf", "mine", "hopper-medium", preset="quick")
    assert shared.hyperparameters["steps"] == 10
    assert shared.settings == make_plan("cnf", "bc", "hopper-medium", preset="quick").settings
    assert Plan.from_dict(own.to_dict()) == own
    with pytest.raises(ConfigError, match="for mine; choose one of paper, thorough, quick"):
        make_plan("cnf", "mine", "hopper-medium", preset="stable")
    with pytest.raises(ConfigError, match=r"'mixture' is 1.5; it must lie in \[0, 1\]"):
        make_plan("cnf", "mine", "hopper-medium", overrides={"mixture": 1.5})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("bc = mine:Mine", "algorithm 'bc' of 'mine:Mine' hides one that exists"),
        (
            "other = mine:Path",
            "'other' of package 'mine' .'mine:Path'. is not a subclass",
        ),
        ("other = mine:Gone", "cannot be loaded .AttributeError"),
    ],
)
def test_a_broken_one_is_named(install, entry, words):
    install(f"[latent_policies.cnf]\n{entry}\n")
    with pytest.raises(ConfigError, match=words):
        registry.find("cnf", "bc")
