"""Selects expert, medium and a ladder of snapshots from a training, and stores them.

- `expert`: the best mean of sampled returns among the most promising snapshots;
- `medium`: before the expert's, the snapshot nearest a third of the expert's
  sampled return (D4RL) or nearest half of it (V-D4RL), sought only up to the first
  snapshot above one and a half times that, so that a later collapse of the training
  is not taken for its middle;
- `step-<n>`: snapshots evenly spaced in environment steps up to medium (for
  medium-replay) and from medium to expert (for full-replay).

Weights are rounded to float16 first; every return is measured after that.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np

from shared.behavior.policies import BehaviorPolicy
from shared.behavior.rollout import measure_returns
from shared.behavior.simulator import is_control
from shared.behavior.snapshots import Snapshot, load_snapshots, save_npz
from shared.errors import RunError

EPISODES, CONTROL_EPISODES = 20, 10  # dm_control's returns vary little
_CANDIDATES = 5
_UP_TO_MEDIUM, _UP_TO_EXPERT = 8, 6
_EVALUATION_SEED = 20_000
_PACKAGES = ("numpy", "jax", "equinox", "optax", "gymnasium", "mujoco", "dm-control")


def episodes_of(environment: str) -> int:
    """Episodes of a measured mean return."""
    return CONTROL_EPISODES if is_control(environment) else EPISODES


def round_policy(environment: str, snapshot: Snapshot) -> BehaviorPolicy:
    """The snapshot as it will be read back: float16 weights, used as float32."""

    def rounded(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float16).astype(np.float32)

    layers = tuple((rounded(weight), rounded(bias)) for weight, bias in snapshot.layers)
    steps = snapshot.environment_steps
    return BehaviorPolicy(environment, f"step-{steps}", layers, steps, {})


def measure(policy: BehaviorPolicy, episodes: int) -> dict:
    """Mean and standard deviation of deterministic and of sampled returns."""
    summary: dict = {"episodes": episodes}
    for name in ("deterministic", "sampled"):
        returns = measure_returns(
            policy, episodes, seed=_EVALUATION_SEED, sampled=name == "sampled"
        )
        summary[f"{name}_mean"] = round(float(returns.mean()), 2)
        summary[f"{name}_std"] = round(float(returns.std()), 2)
    return summary


def select(environment: str, snapshots: list[Snapshot]) -> dict[str, BehaviorPolicy]:
    """The policies to keep, by name, in training order.

    Raises:
        RunError: there are too few snapshots to have a medium and an expert.
    """
    promising = sorted(snapshots, key=lambda s: min(s.sampled, s.deterministic))[-_CANDIDATES:]
    expert, best = _extreme(environment, promising, lambda mean: mean)
    before = [s for s in snapshots if s.environment_steps < expert.environment_steps]
    if len(before) < 2:
        raise RunError("The training is too short to have a medium and an expert policy.")
    middle = best / (2 if is_control(environment) else 3)
    high = next((i for i, s in enumerate(before) if s.sampled > 1.5 * middle), len(before))
    near = sorted(before[: high + 1], key=lambda s: abs(s.sampled - middle))[:_CANDIDATES]
    medium, _ = _extreme(environment, near, lambda mean: -abs(mean - middle))
    early = [s for s in before if s.environment_steps < medium.environment_steps]
    late = [s for s in before if s.environment_steps > medium.environment_steps]
    kept = [*_spread(early, _UP_TO_MEDIUM), medium, *_spread(late, _UP_TO_EXPERT), expert]
    names = {medium.environment_steps: "medium", expert.environment_steps: "expert"}
    policies = [round_policy(environment, s) for s in kept]
    return {names.get(p.environment_steps, p.quality): p for p in policies}


def write_weights(environment: str, out: Path, path: Path, *, command: str, seed: int) -> dict:
    """Select from the training folder `out`, write the weight file, return its record.

    Raises:
        RunError: the training is too short.
    """
    arrays: dict[str, np.ndarray] = {}
    record: dict = {
        "environment": environment,
        "command": command,
        "seed": seed,
        "versions": {p: importlib.metadata.version(p) for p in _PACKAGES},
        "policies": {},
    }
    for name, policy in select(environment, load_snapshots(out)).items():
        for i, (weight, bias) in enumerate(policy.layers):
            arrays[f"{name}/weight{i}"] = weight.astype(np.float16)
            arrays[f"{name}/bias{i}"] = bias.astype(np.float16)
        returns = measure(policy, episodes_of(environment))
        record["policies"][name] = {
            "environment_steps": policy.environment_steps,
            "returns": returns,
        }
    save_npz(path, arrays | {"record": np.array(json.dumps(record))})
    return record


def _extreme(environment, candidates, merit) -> tuple[Snapshot, float]:
    """The candidate whose mean sampled return has the highest merit, and that mean."""
    episodes = episodes_of(environment)
    means = [
        float(
            measure_returns(
                round_policy(environment, s), episodes, seed=_EVALUATION_SEED + 1, sampled=True
            ).mean()
        )
        for s in candidates
    ]
    best = max(range(len(means)), key=lambda i: merit(means[i]))
    return candidates[best], means[best]


def _spread(snapshots: list[Snapshot], count: int) -> list[Snapshot]:
    """At most `count` of them, evenly spaced by position, the first included."""
    if len(snapshots) <= count:
        return snapshots
    return [snapshots[i * len(snapshots) // count] for i in range(count)]
