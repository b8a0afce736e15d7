"""The stored behaviour policies: complete records, and returns that hold in the simulator."""

import numpy as np
import pytest

from shared.behavior.policies import load_behavior, load_record, weights_path
from shared.behavior.rollout import measure_returns
from shared.errors import DataError

EXPERT_RETURN = {"hopper": 2800.0, "walker2d": 3500.0, "halfcheetah": 8000.0}
EXPERT_RETURN |= {"walker_walk": 800.0, "cheetah_run": 750.0}
MEASURES = ("deterministic_mean", "deterministic_std", "sampled_mean", "sampled_std")


@pytest.mark.parametrize("environment", EXPERT_RETURN)
def test_record_is_complete(environment):
    record = load_record(environment)
    assert record["command"].startswith(f"python -m shared.behavior.train {environment}")
    assert f"--seed {record['seed']} " in record["command"]
    assert {"numpy", "mujoco", "gymnasium", "jax"} <= set(record["versions"])
    for name, info in record["policies"].items():
        assert info["environment_steps"] > 0, name
        assert info["returns"]["episodes"] >= 10, name
        assert all(np.isfinite(info["returns"][m]) for m in MEASURES), name
    assert weights_path(environment).stat().st_size < 2_000_000


@pytest.mark.parametrize("environment", EXPERT_RETURN)
def test_thresholds(environment):
    policies = load_record(environment)["policies"]
    expert = policies["expert"]["returns"]
    medium = policies["medium"]["returns"]
    assert expert["deterministic_mean"] >= EXPERT_RETURN[environment]
    assert expert["sampled_mean"] >= EXPERT_RETURN[environment]
    assert 0.2 < medium["sampled_mean"] / expert["sampled_mean"] < 0.5


@pytest.mark.parametrize("environment", EXPERT_RETURN)
@pytest.mark.parametrize("sampled", [True, False])
def test_expert_returns_hold_in_the_simulator(environment, sampled):
    policy = load_behavior(environment, "expert")
    kind = "sampled" if sampled else "deterministic"
    mean, std = policy.returns[f"{kind}_mean"], policy.returns[f"{kind}_std"]
    returns = measure_returns(policy, 3, seed=5, sampled=sampled)
    assert np.abs(returns.mean() - mean) < 0.05 * mean + 3 * std


def test_actions_are_repeatable_and_inside_the_box():
    policy = load_behavior("hopper", "expert")
    observations = np.random.default_rng(0).normal(size=(50, 11)).astype(np.float32)
    noise = policy.draw_noise((50, 3), np.random.default_rng(1))
    first = [policy.act(o, z) for o, z in zip(observations, noise, strict=True)]
    again = [policy.act(o, z) for o, z in zip(observations, noise, strict=True)]
    assert np.array_equal(first, again)
    assert np.abs(first).max() <= 1 and first[0].dtype == np.float32


def test_random_needs_no_weights():
    policy = load_behavior("walker2d", "random")
    noise = policy.draw_noise((1000, 6), np.random.default_rng(0))
    assert noise.dtype == np.float32 and np.abs(noise).max() <= 1
    assert abs(noise.mean()) < 0.05 and noise.std() == pytest.approx(3**-0.5, abs=0.02)
    assert np.array_equal(policy.act(np.zeros(17, np.float32), noise[3]), noise[3])


def test_unknown_policy_is_named():
    with pytest.raises(DataError, match="No behaviour policy 'best' for hopper"):
        load_behavior("hopper", "best")
    with pytest.raises(DataError, match="choose one of"):
        load_behavior("ant", "expert")
