"""Whole runs in one call: what the commands do, for Python."""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from shared import config, registry
from shared.errors import ConfigError, RunError
from shared.training import loop, program
from shared.training.evaluation import evaluate
from shared.training.loggers import make_loggers
from shared.training.progress import Progress
from shared.training.run_folder import RunFolder, versions
from shared.training.settings import RunSettings
from shared.types import Spec


@dataclass(frozen=True)
class Plan:
    """A fully resolved run: what `config.yaml` holds."""

    family: str
    algorithm: str
    dataset: str
    preset: str
    seeds: tuple[int, ...]
    hyperparameters: dict[str, Any]
    settings: RunSettings

    def build(self):
        """The algorithm object of this plan."""
        return config.build(registry.find(self.family, self.algorithm), self.hyperparameters)

    def to_dict(self) -> dict[str, Any]:
        """As plain YAML values."""
        values = {
            key: [list(v) if isinstance(v, tuple) else v][0]
            for key, v in self.hyperparameters.items()
        }
        return {
            "family": self.family,
            "algorithm": self.algorithm,
            "dataset": self.dataset,
            "preset": self.preset,
            "seeds": list(self.seeds),
            "hyperparameters": values,
            "run": asdict(self.settings),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Plan":
        """The inverse of `to_dict`, checked again."""
        family, name = values["family"], values["algorithm"]
        where = "config.yaml"
        checked = config.check(registry.find(family, name), values["hyperparameters"], where=where)
        settings = RunSettings(**config.check(RunSettings, values["run"], where=where))
        return cls(
            family,
            name,
            values["dataset"],
            values["preset"],
            tuple(values["seeds"]),
            checked,
            settings,
        )


def plan(
    family: str,
    algorithm: str,
    dataset: str,
    *,
    preset: str = "paper",
    seeds: int | tuple[int, ...] = 1,
    overrides: dict[str, Any] | None = None,
) -> Plan:
    """Resolve every value of a run; `overrides` may name hyperparameters and run settings.

    Raises:
        ConfigError: an unknown algorithm, preset or key, or a value of the wrong type.
    """
    overrides = dict(overrides or {})
    algorithm_class = registry.find(family, algorithm)
    run_keys = {key for key in RunSettings.__dataclass_fields__ if key in overrides}
    run_overrides = {key: overrides.pop(key) for key in run_keys}
    known = [*RunSettings.__dataclass_fields__]
    hyperparameters = config.resolve(
        algorithm_class,
        algorithm,
        dataset=dataset,
        preset=preset,
        overrides=overrides,
        also_known=known,
    )
    settings = config.resolve(
        RunSettings, "run", dataset=dataset, preset=preset, overrides=run_overrides
    )
    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not numbers:
        raise ConfigError("--seeds must be at least 1.")
    return Plan(
        family,
        algorithm,
        dataset,
        preset,
        numbers,
        hyperparameters,
        RunSettings(**settings),
    )


def start(
    plan: Plan,
    data,
    out: Path,
    *,
    progress: Progress | None = None,
    loggers: tuple[str, ...] = (),
    label: str | None = None,
) -> Path:
    """Train a plan on loaded data in a new run folder.

    Arguments:
        plan: from `shared.plan`.
        data: an `OfflineData`, from `shared.load_data`.
        out: the new run folder.
        progress: a bar or lines; silent by default.
        loggers: any of `tensorboard`, `wandb`.
        label: name of this variant in tables and plots; default: the algorithm's.

    Returns:
        The path of the run folder.
    """
    record = {
        "family": plan.family,
        "algorithm": plan.algorithm,
        "environment": data.environment,
        "dataset": plan.dataset,
        "source": data.source,
        "data": _describe(data),
        "spec": {
            "observation_size": data.spec.observation_size,
            "action_size": data.spec.action_size,
        },
        "seeds": list(plan.seeds),
        "phases": [{"name": p.name, "steps": p.steps} for p in plan.build().phases()],
        "versions": versions(),
        "devices": [str(device) for device in jax.devices()],
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "label": label or plan.algorithm,
        "status": "running",
    }
    dataset = data.to_device(validation_fraction=plan.settings.validation_fraction)
    names = program.metric_names(plan.build(), data.spec, dataset)
    run = RunFolder.create(Path(out), config=plan.to_dict(), record=record, metric_names=names)
    return _carry_out(run, plan, dataset, data.spec, progress or Progress(), loggers)


def _describe(data) -> dict[str, Any]:
    return {
        "name": data.name,
        "path": str(Path(data.path).resolve()),
        "sha256": data.sha256,
        "rows": data.rows,
        "episodes": len(data.episode_returns),
        "mean_return": data.mean_return,
        "mean_score": data.mean_score,
        "best_return": float(data.episode_returns.max()),
    }


def resume(path: Path, *, load_data, progress: Progress | None = None, loggers=()):
    """Carry a killed run on from its last checkpoint to the same bits as without the kill.

    Arguments:
        path: the run folder.
        load_data: `(record) -> OfflineData`, finds the run's own data again.
        progress: as in `start`.
        loggers: as in `start`.

    Raises:
        RunError: the data has another SHA-256, or another writer holds the folder.
    """
    run = RunFolder.open(Path(path), write=True)
    plan = Plan.from_dict(run.config)
    data = load_data(run.record)
    expected = run.record["data"]["sha256"]
    if data.sha256 != expected:
        run.close()
        raise RunError(
            f"{path}: the run was trained on data with SHA-256 {expected[:12]}…, but {data.path} "
            f"has {data.sha256[:12]}…; give the run's own file with --data."
        )
    dataset = data.to_device(validation_fraction=plan.settings.validation_fraction)
    return _carry_out(run, plan, dataset, data.spec, progress or Progress(), loggers)


def _carry_out(run, plan, dataset, spec, progress, loggers) -> Path:
    started = time.time()
    mirrors = tuple(make_loggers(loggers, run.path))
    try:
        run.update_record(status="running")
        with progress:
            loop.train(
                plan.build(),
                dataset,
                spec,
                run,
                seeds=plan.seeds,
                settings=plan.settings,
                progress=progress,
                mirrors=mirrors,
            )
        run.update_record(status="finished", seconds_of_last_part=round(time.time() - started, 1))
    except Exception:
        run.update_record(status="failed")
        raise
    finally:
        for mirror in mirrors:
            mirror.close()
        run.close()
    return run.path


class Policy:
    """A trained policy with its memory, one observation at a time.

    Made by `load_policy`.  `reset` starts a new episode; `act` takes a raw
    (not normalised) observation and returns an action in [-1, 1].
    """

    def __init__(
        self,
        algorithm,
        state,
        record: dict[str, Any],
        *,
        deterministic: bool,
        seed: int,
    ):
        self.record = record
        self._key = None if deterministic else jax.random.key(seed)
        self._act = jax.jit(
            lambda state, memory, observation, key: algorithm.act(
                state, memory, observation, key=key
            )
        )
        self._initial = lambda: algorithm.initial_memory(state)
        self._state = state
        self.reset()

    def reset(self) -> None:
        """Forget the episode so far."""
        self._memory = self._initial()

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action for one observation, float32, in [-1, 1]."""
        key = None
        if self._key is not None:
            self._key, key = jax.random.split(self._key)
        observation = np.asarray(observation, np.float32)
        action, self._memory = self._act(self._state, self._memory, observation, key)
        return np.asarray(action)


def load_state(path: Path, *, checkpoint: str | None = None):
    """Plan, record, algorithm and all seeds' state of a run's checkpoint (default: the last)."""
    run = RunFolder.open(Path(path), write=False)
    if run.checkpoints.latest is None:
        raise RunError(
            f"{path}: holds no checkpoint yet; carry it on with 'train --resume {path}'."
        )
    plan = Plan.from_dict(run.config)
    algorithm = plan.build()
    size = run.record["spec"]["observation_size"]
    # The statistics themselves come with the state.
    blank = np.zeros(size, np.float32)
    returns = np.zeros(2, np.float32)
    spec = Spec(size, run.record["spec"]["action_size"], blank, blank, returns)
    template = program.state_shapes(algorithm, spec, plan.seeds)
    state, position = run.checkpoints.restore(template, checkpoint)
    return plan, run.record, algorithm, jax.tree.map(jax.numpy.asarray, state), position


def load_policy(
    path: str | Path,
    *,
    seed: int | None = None,
    deterministic: bool = True,
    checkpoint: str | None = None,
) -> Policy:
    """The policy of a run's last checkpoint.

    Arguments:
        path: run folder.
        seed: which of the run's seeds (default: the first).
        deterministic: the policy's mode; False samples.
        checkpoint: name of another checkpoint in the folder.

    Raises:
        RunError: no run folder, a damaged checkpoint, or an unknown seed.
    """
    plan, record, algorithm, state, _ = load_state(Path(path), checkpoint=checkpoint)
    seed = plan.seeds[0] if seed is None else seed
    if seed not in plan.seeds:
        raise RunError(f"{path}: has no seed {seed}; it trained {list(plan.seeds)}.")
    one = jax.tree.map(lambda x: x[plan.seeds.index(seed)], state)
    return Policy(algorithm, one, record, deterministic=deterministic, seed=seed)


def evaluate_run(path: str | Path, *, episodes: int = 10) -> list[dict[str, Any]]:
    """Play a run's last checkpoint, all seeds, both policy modes; one row an episode."""
    plan, record, algorithm, state, position = load_state(Path(path))
    return evaluate(
        algorithm,
        state,
        record["environment"],
        seeds=plan.seeds,
        step=position["global_step"],
        episodes=episodes,
    )
