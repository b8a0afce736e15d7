"""Values of the papers and of their authors' code that once were others here."""

import pytest

from shared.runs.plan import make_plan

REWARDS = {
    **dict.fromkeys(("awac", "iql", "spot", "fql"), {"reward_shift": -1.0}),
    "cql": {"reward_scale": 10.0, "reward_shift": -5.0},
    "rebrac": {"reward_scale": 100.0},
    "lapo": {"reward_scale": 100.0, "rewarded_once": True, "lambda_": 0.7},
}
"""What each makes of AntMaze's 0 and 1."""

VALUES = {
    ("cnf", "hopper-medium"): {"pretrain_learning_rate": 5e-4, "pretrain_weight_decay": 1e-4},
    ("cql", "maze2d-umaze"): {"penalty_scale": 10.0, "target_gap": 5.0},
    ("cql", "hammer-expert"): {"penalty_scale": 1.0, "target_gap": 5.0},
    ("cql", "door-cloned"): {"target_gap": None, "actor_learning_rate": 1e-4},
    ("cql", "hopper-medium"): {"penalty_scale": 10.0, "target_gap": None},
    ("lapo", "hopper-medium"): {"kl_weight": 1.0, "lambda_": 1.0, "reward_scale": None},
    ("lapo", "maze2d-large"): {"kl_weight": 0.3},
    ("brac-v", "hopper-medium"): {
        **{"actor_hidden_sizes": (200, 200), "critic_hidden_sizes": (300, 300)},
        **{"clone_learning_rate": 5e-4, "clone_steps": 300_000},
    },
    ("plas", "pen-cloned"): {"vae_hidden_sizes": (128, 128)},
    ("plas", "door-cloned"): {"vae_hidden_sizes": (750, 750)},
}


@pytest.mark.parametrize(("algorithm", "dataset"), VALUES)
def test_values_are_those_of_the_source(algorithm, dataset):
    found = make_plan("cnf", algorithm, dataset).hyperparameters
    expected = VALUES[algorithm, dataset]
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("algorithm", REWARDS)
def test_rewards_and_episodes_of_antmaze(algorithm):
    plan = make_plan("cnf", algorithm, "antmaze-medium-play")
    expected = REWARDS[algorithm]
    assert {key: plan.hyperparameters[key] for key in expected} == expected
    assert plan.settings.episodes == 100
    assert make_plan("cnf", algorithm, "hopper-medium").settings.episodes == 10
