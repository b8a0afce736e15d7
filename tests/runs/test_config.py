"""Configuration: unknown, missing or mistyped keys never pass, nothing is rounded."""

import typing

import pytest

from shared.data.catalog import CATALOG
from shared.errors import ConfigError
from shared.runs import config, registry
from shared.runs.frozen_model import overrides_of_model
from shared.runs.plan import Plan, make_plan

ALGORITHMS = [
    (family, name) for family in registry.FAMILIES for name in registry.algorithms(family)
]


@pytest.mark.parametrize(("family", "algorithm"), ALGORITHMS)
def test_every_file_builds_for_every_dataset_in_every_preset(family, algorithm):
    """One data set of those that get the same values stands for all of them."""
    found = registry.find(family, algorithm)
    presets = config.load_values(algorithm)["presets"]
    assert {"quick", "standard"} <= set(presets)
    for preset in ("paper", *presets):
        options = {"preset": preset, "file": found.values}
        values = {x: config.resolve(found, algorithm, dataset=x, **options) for x in CATALOG}
        for dataset in {tuple(own.items()): x for x, own in values.items()}.values():
            plan = make_plan(family, algorithm, dataset, preset=preset)
            assert plan.hyperparameters == values[dataset]
            again = Plan.from_dict(plan.to_dict())
            assert again == plan and hash(again.build())


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("stepz=3", "unknown key 'stepz'; the nearest valid name is 'steps'"),
        ("steps=1.5", "must be of type int"),
        ("steps=true", "must be of type int"),
        ("discount=fast", "must be of type float"),
        (
            "base=unifrom",
            "choose one of ['uniform', 'normal']; the nearest valid name is 'uniform'",
        ),
        ("actor_hidden_sizes=64", "write a list such as"),
        ("evaluate_evry=5", "nearest valid name is 'evaluate_every'"),
    ],
)
def test_bad_settings_are_one_clear_sentence(pair, expected):
    with pytest.raises(ConfigError) as caught:
        make_plan("cnf", "cnf", "hopper-medium", overrides=config.parse_overrides((pair,)))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_order_of_precedence():
    replay = make_plan("cnf", "cnf", "hopper-medium-replay").hyperparameters
    assert (replay["flow_layers"], replay["flow_hidden_size"]) == (4, 64)
    medium = make_plan("cnf", "cnf", "hopper-medium").hyperparameters
    assert (medium["flow_layers"], medium["flow_hidden_size"]) == (12, 256)
    quick = make_plan("cnf", "cnf", "hopper-medium", preset="quick").hyperparameters
    assert quick["flow_layers"] == 4
    chosen = make_plan(
        "cnf", "cnf", "hopper-medium", preset="quick", overrides={"flow_layers": 7}
    ).hyperparameters
    assert chosen["flow_layers"] == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: [1, 2]", "'defaults' must be a mapping"),
        ("default: {steps: 1}", "unknown key 'default'; the nearest valid name is 'defaults'"),
        ("defaults: {steps: 1}", "'chunk' has no value"),
        ("defaults: {steps: [}", "cannot be read as YAML"),
        ("defaults:\n  steps: 1\n  steps: 2", "(line 3: the key 'steps' is there twice)"),
        ("- 1", "must be a mapping"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, expected):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.resolve(registry.find("cnf", "bc"), "bc", dataset="hopper-medium", file=file)
    assert expected in str(caught.value)


def test_latent_actions_of_data_sets_are_twice_the_actions():
    for name, entry in CATALOG.items():
        if entry.suite in ("gym-mujoco", "vd4rl", "antmaze"):
            found = make_plan("clap", "clap", name).hyperparameters
            assert found["latent_action"] == 2 * entry.environment.action_size, name
    supports = [
        make_plan("clap", "clap", f"{set_}").hyperparameters["support"]
        for set_ in ("hopper-medium-replay", "cheetah_run-medium_replay", "walker2d-expert")
    ]
    assert supports[0] == supports[1] > supports[2]


def test_an_option_that_is_set_is_told_as_one():
    with pytest.raises(ConfigError, match="'seeds' is no setting but an option; write --seeds"):
        make_plan("cnf", "cnf", "hopper-medium", overrides={"seeds": 3})


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_a_seed_that_would_be_cut_is_refused(seed):
    with pytest.raises(ConfigError, match=f"must lie from 0 to 4,294,967,295, and {seed} does"):
        make_plan("cnf", "cnf", "hopper-medium", seeds=(0, seed))


def test_a_model_of_another_kind_is_not_taken_over():
    flow = make_plan("cnf", "cnf", "hopper-medium")
    with pytest.raises(ConfigError, match="runs/x holds a model of 'cnf', which PLAS cannot take"):
        overrides_of_model(flow, "runs/x", {}, registry.find("cnf", "plas"))


def test_unknown_preset_and_algorithm():
    with pytest.raises(ConfigError, match="choose one of paper, quick"):
        make_plan("cnf", "cnf", "hopper-medium", preset="fast")
    with pytest.raises(ConfigError, match="nearest name is 'cnf'"):
        make_plan("cnf", "cfn", "hopper-medium")


def test_types_convert_without_loss():
    assert config.convert("1e-3", float, "x") == 1e-3
    assert config.convert("1e5", int, "x") == 100_000
    assert config.convert(None, float | None, "x") is None
    assert config.convert([1, 2], tuple[int, ...], "x") == (1, 2)
    assert config.convert("a", typing.Literal["a", "b"], "x") == "a"
    with pytest.raises(ConfigError):
        config.convert(1, bool, "x")


def test_sweeps_are_lists_of_different_numbers():
    found = config.parse_sweeps(("support=0.5,1,2", "tau=1e-2"))
    assert found == {"support": [0.5, 1.0, 2.0], "tau": [0.01]}
    sizes = config.parse_sweeps(("hidden_sizes=[64],[64,64]", "base=normal,uniform"))
    assert sizes == {"hidden_sizes": [[64], [64, 64]], "base": ["normal", "uniform"]}
    for text in ("support", "support=", "=1", "support=1,1.0", "support=[1"):
        with pytest.raises(ConfigError, match="--sweep"):
            config.parse_sweeps((text,))
