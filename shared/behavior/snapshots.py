"""Actor snapshots of a training: when they are taken, what they hold, how they are read."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.behavior.policies import BehaviorPolicy, Layers
from shared.behavior.rollout import measure_returns

_EPISODES = 2


class Snapshot(NamedTuple):
    """An actor on its way; the returns are means over a few whole episodes."""

    environment_steps: int
    layers: Layers
    deterministic: float
    sampled: float


def snapshot_due(before: int, after: int) -> bool:
    """Every 5,000 environment steps up to 100,000, every 20,000 up to 1,000,000, then 50,000."""
    every = 5_000 if after <= 100_000 else 20_000 if after <= 1_000_000 else 50_000
    return before // every != after // every


def take_snapshot(
    out: Path, environment: str, layers: Layers, steps: int, seed: int, metrics: dict[str, float]
) -> Snapshot:
    """Evaluate the actor, keep its weights in `out/snapshots`, add a line to `out/progress.csv`."""
    policy = BehaviorPolicy(environment, f"step-{steps}", layers, steps, {})
    returns = {
        name: measure_returns(policy, _EPISODES, seed=seed + steps, sampled=name == "sampled")
        for name in ("deterministic", "sampled")
    }
    arrays = {f"weight{i}": w for i, (w, _) in enumerate(layers)}
    arrays |= {f"bias{i}": b for i, (_, b) in enumerate(layers)}
    arrays |= {f"{name}_returns": r for name, r in returns.items()}
    save_npz(out / "snapshots" / f"{steps:08d}.npz", arrays)
    means = {name: round(float(r.mean()), 1) for name, r in returns.items()}
    _append(out / "progress.csv", {"environment_steps": steps, **metrics, **means})
    return Snapshot(steps, layers, **means)


def load_snapshots(out: Path) -> list[Snapshot]:
    """All snapshots of a training folder, in training order."""
    found = []
    for path in sorted((out / "snapshots").glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            count = sum(name.startswith("weight") for name in file.files)
            layers = tuple((file[f"weight{i}"], file[f"bias{i}"]) for i in range(count))
            means = (float(file[f"{n}_returns"].mean()) for n in ("deterministic", "sampled"))
            found.append(Snapshot(int(path.stem), layers, *means))
    return found


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz beside `path`, then replace `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.partial")
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _append(path: Path, row: dict[str, int | float]) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
