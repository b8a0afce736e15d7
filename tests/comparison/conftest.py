"""Run folders in the documented format, written as plain text."""

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

REFERENCE = {"hopper": (-20.272305, 3234.3), "walker2d": (1.629008, 4592.3)}


def raw_return(task: str, score: float) -> float:
    low, high = REFERENCE[task]
    return low + (high - low) * score / 100


@dataclass
class Made:
    """What `make_run` wrote: change a field and call `write` again to damage the folder."""

    path: Path
    record: dict[str, Any]
    config: dict[str, Any]
    scores: list[str]
    metrics: list[str] = field(default_factory=list)

    def write(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "run.json").write_text(json.dumps(self.record))
        (self.path / "config.yaml").write_text(yaml.safe_dump(self.config))
        (self.path / "scores.csv").write_text("".join(line + "\n" for line in self.scores))
        (self.path / "metrics.csv").write_text("".join(line + "\n" for line in self.metrics))
        return self.path


def _score(seed: int, step: int, final: dict[int, float], steps: tuple[int, ...]) -> float:
    """A curve that is highest in the middle, so that 'best' and 'last' differ."""
    return final[seed] * (1.3 if step == steps[len(steps) // 2] and len(steps) > 2 else 1.0)


def make_run_folder(
    root: Path,
    name: str,
    *,
    algorithm: str = "cnf",
    environment: str = "hopper-medium",
    label: str | None = None,
    final: dict[int, float] | None = None,
    steps: tuple[int, ...] = (2000, 4000, 6000),
    source: str = "collected",
    sha256: str = "1234abcd" * 8,
    spread: float = 1.0,
    nll: bool = False,
    folder: str = "runs",
) -> Made:
    final = {0: 40.0, 1: 50.0} if final is None else final
    task = environment.split("-")[0]
    record = {
        "algorithm": algorithm,
        "environment": task,
        "dataset": environment,
        "source": source,
        "data": {
            "name": environment,
            "path": "/somewhere/private/data.hdf5",
            "sha256": sha256,
            "rows": 100_000,
            "episodes": 120,
            "mean_return": raw_return(task, 35.0),
            "mean_score": 35.0,
            "best_return": raw_return(task, 90.0),
        },
        "seeds": list(final),
        "phases": [{"name": "pretrain", "steps": 1000}, {"name": "policy", "steps": 5000}],
        "versions": {
            "python": "3.11.7",
            "jax": "0.10.2",
            "dm-control": None,
            "platform": "Linux-private",
        },
        "devices": ["cpu:0"],
        "command": "cnf train --env hopper-medium --out /somewhere/private",
        "status": "finished",
        "label": label,
    }
    config = {
        "algorithm": algorithm,
        "family": "cnf",
        "dataset": environment,
        "preset": "quick",
        "hyperparameters": {"discount": 0.99, "hidden": [64, 64]},
        "run": {"episodes": 3},
    }
    scores = ["phase,step,seed,mode,episode,return,score,length,source"]
    for step in steps:
        for mode, shift in (("deterministic", 0.0), ("sampled", -5.0)):
            for seed in final:
                for episode in range(3):
                    score = _score(seed, step, final, steps) + shift + spread * (episode - 1)
                    outcome = f"{raw_return(task, score)!r},{score!r},500,{source}"
                    scores.append(f"policy,{step},{seed},{mode},{episode},{outcome}")
    metrics = ["phase,step,seed,seconds,updates_per_second,train_nll,validation_nll,q"]
    for step in range(100, 1001, 100):
        for seed in final:
            train = 4.0 * np.exp(-step / 300) - 3.0 + 0.05 * seed if nll else ""
            held = train + 0.2 + (step / 1000) ** 4 if nll and step % 200 == 0 else ""
            metrics.append(f"pretrain,{step},{seed},0.5,200.0,{train},{held},")
    metrics += [f"policy,{step},{seed},0.9,500,,,1.5" for step in steps for seed in final]
    made = Made(root / folder / name, record, config, scores, metrics)
    made.write()
    return made


@pytest.fixture
def make_run(tmp_path):
    return partial(make_run_folder, tmp_path)


@pytest.fixture(scope="module")
def make_run_once(tmp_path_factory):
    """`make_run` for runs that all tests of a file share."""
    return partial(make_run_folder, tmp_path_factory.mktemp("shared"))
