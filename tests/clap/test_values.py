"""Values of the YAML files against their sources, data set by data set."""

import pytest

from shared.runs.plan import make_plan

# Rollout length and price by robot and data: the papers' tables and the authors' scripts.
MOBILE = {
    "halfcheetah": {"random": (5, 0.5), "medium": (5, 0.5), "medium-replay": (5, 0.1)},
    "hopper": {"random": (5, 5.0), "medium": (5, 1.5), "medium-replay": (5, 0.1)},
    "walker2d": {"random": (5, 2.0), "medium": (5, 0.5), "medium-replay": (1, 0.5)},
}
MOBILE_BEST = {"halfcheetah": (5, 2.0), "hopper": (5, 1.5), "walker2d": (1, 1.5)}
MOPO = {
    "halfcheetah": {"medium": (5, 0.5), "medium-replay": (5, 0.5), "medium-expert": (5, 2.5)},
    "hopper": {"medium": (5, 5.0), "medium-replay": (5, 2.5), "medium-expert": (5, 5.0)},
    "walker2d": {"medium": (5, 0.5), "medium-replay": (1, 2.5), "medium-expert": (1, 2.5)},
}
RULES = {"halfcheetah": "none", "hopper": "hopper", "walker2d": "walker2d"}


def values(name, dataset, **options):
    return make_plan("clap", name, dataset, **options).hyperparameters


@pytest.mark.parametrize("robot", RULES)
def test_prices_and_lengths_of_imagined_episodes(robot):
    tables = {"mopo": MOPO[robot], "mobile": MOBILE[robot] | {"medium-expert": MOBILE_BEST[robot]}}
    for name, table in tables.items():
        for kind, expected in table.items():
            found = values(name, f"{robot}-{kind}")
            assert (found["rollout_length"], found["penalty_scale"]) == expected, (name, kind)
            assert found["termination"] == RULES[robot]
    fixed = values("mobile", f"{robot}-medium")["alpha"]
    assert fixed == (0.2 if robot == "hopper" else None)


@pytest.mark.parametrize("name", ["mopo", "mobile"])
def test_twelve_of_256_rows_are_real(name):
    assert make_plan("clap", name, "hopper-medium").build().real_rows == 12


@pytest.mark.parametrize("name", ["mopo", "mobile"])
def test_ends_of_other_robots_are_learned(name):
    for dataset in ("maze2d-umaze", "antmaze-umaze", "falls"):
        assert values(name, dataset)["termination"] == "learned"


def test_the_posterior_of_offline_dv2_is_as_wide_as_the_authors():
    assert values("offline-dv2", "walker_walk-medium")["posterior_size"] == 200
    assert values("lompo", "walker_walk-medium")["posterior_size"] is None
    assert values("lompo", "walker_walk-medium")["hidden_sizes"][-1] == 256


@pytest.mark.parametrize("robot", RULES)
def test_a_narrow_pattern_is_not_overridden_by_a_wide_one(robot):
    """medium-expert is no expert data: its box is of one deviation."""
    supports = {"medium-replay": 2.0, "medium": 1.0, "medium-expert": 1.0, "expert": 0.5}
    for kind, support in supports.items():
        assert values("clap", f"{robot}-{kind}")["support"] == support
    for kind, support in {"medium_replay": 2.0, "medium_expert": 1.0, "expert": 0.5}.items():
        assert values("clap", f"walker_walk-{kind}")["support"] == support
