"""Whole runs in one call: what the commands do, for Python."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax

from shared.runs import config, registry
from shared.environments.simulators import has_simulator
from shared.errors import ConfigError, RunError
from shared.training import loop, online, program
from shared.training.loggers import make_loggers
from shared.training.progress import Progress
from shared.record.run_folder import RunFolder, versions
from shared.training.settings import RunSettings


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
        family, name, dataset = values["family"], values["algorithm"], values["dataset"]
        found = registry.find(family, name)
        # A run of an earlier version lacks the settings that came later.
        file = getattr(found, "values", None)
        filled = config.resolve(found, name, dataset=dataset, file=file)
        filled |= values["hyperparameters"]
        checked = config.check(found, filled, where="config.yaml")
        settings = config.resolve(RunSettings, "run", dataset=dataset, overrides=values["run"])
        return cls(
            family,
            name,
            dataset,
            values["preset"],
            tuple(values["seeds"]),
            checked,
            RunSettings(**settings),
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
    pixels = run_overrides.get("observation") == "pixels"
    if pixels and "pixels" not in algorithm_class.observations:
        raise ConfigError(f"'{algorithm}' learns from states; leave out --observation pixels.")
    hyperparameters = config.resolve(
        algorithm_class,
        algorithm,
        dataset=dataset,
        preset=preset,
        pixels=pixels,
        overrides=overrides,
        also_known=known,
        file=getattr(algorithm_class, "values", None),
    )
    settings = config.resolve(
        RunSettings, "run", dataset=dataset, preset=preset, pixels=pixels, overrides=run_overrides
    )
    _check_online(
        family, algorithm, RunSettings(**settings), config.build(algorithm_class, hyperparameters)
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


def _check_online(family: str, name: str, settings: RunSettings, algorithm) -> None:
    """Can this algorithm be fine-tuned, and with these settings?"""
    if settings.online_steps == 0:
        return
    if algorithm.online() is None:
        able = [n for n, c in registry.algorithms(family).items() if "online" in vars(c)]
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but '{name}' cannot be fine-tuned in the "
            f"simulator; choose one of {', '.join(able)}."
        )
    online.check(settings)


def start(
    plan: Plan,
    data,
    out: Path,
    *,
    progress: Progress | None = None,
    loggers: tuple[str, ...] = (),
    label: str | None = None,
    prepare: Callable = loop.unchanged,
    more_record: dict[str, Any] | None = None,
) -> Path:
    """Train a plan on loaded data in a new run folder.

    Arguments:
        plan: from `shared.plan`.
        data: an `OfflineData`, from `shared.load_data`.
        out: the new run folder.
        progress: a bar or lines; silent by default.
        loggers: any of `tensorboard`, `wandb`.
        label: name of this variant in tables and plots; default: the algorithm's.
        prepare: `state -> state`, changes the fresh state, see `shared.runs.reuse`.
        more_record: further entries of `run.json`.

    Returns:
        The path of the run folder.

    Raises:
        ConfigError: fine-tuning of a task without a simulator.
    """
    if plan.settings.online_steps and not has_simulator(data.environment):
        raise ConfigError(
            f"online_steps is {plan.settings.online_steps}, but no simulator is known for "
            f"'{plan.dataset}'; leave it out."
        )
    record = make_record(plan, data, label) | (more_record or {})
    progress = progress or Progress()
    dataset = place(plan.settings, data, progress)
    names = program.metric_names(plan.build(), data.spec, dataset)
    run = RunFolder.create(Path(out), config=plan.to_dict(), record=record, metric_names=names)
    return _carry_out(run, plan, dataset, data.spec, progress, loggers, prepare)


def place(settings: RunSettings, data, progress: Progress):
    """The data where training wants them; of frames, `progress` is told first what they take."""
    options = {"validation_fraction": settings.validation_fraction}
    if data.pixels is not None:
        progress.tell(data.estimate(settings.frames))
        options["where"] = settings.frames
    return data.to_device(**options)


def make_record(plan: Plan, data, label: str | None = None) -> dict[str, Any]:
    """What `run.json` says at the start of a run."""
    return {
        "family": plan.family,
        "algorithm": plan.algorithm,
        "environment": data.environment,
        "dataset": plan.dataset,
        "source": data.source,
        "data": _describe(data),
        "spec": {
            "observation_shape": list(data.spec.observation_shape),
            "action_size": data.spec.action_size,
        },
        "pixels": None if data.pixels is None else data.pixels.to_dict(),
        "seeds": list(plan.seeds),
        "phases": [
            {"name": phase.name, "steps": phase.steps}
            for phase in program.phases_of(plan.build(), plan.settings.online_steps)
        ],
        "versions": versions(),
        "devices": [str(device) for device in jax.devices()],
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "label": label or plan.algorithm,
        "status": "running",
    }


def observation_shape(record: dict[str, Any]) -> tuple[int, ...]:
    """Shape of an observation in a run's record; earlier versions knew flat ones alone."""
    spec = record["spec"]
    return tuple(spec.get("observation_shape") or [spec["observation_size"]])


def _describe(data) -> dict[str, Any]:
    return {
        "name": data.name,
        "path": str(Path(data.path).resolve()),
        "sha256": data.sha256,
        "rows": data.rows,
        **({} if data.pixels is None else {"frames": len(data.frames.episode)}),
        "episodes": len(data.episode_returns),
        "mean_return": data.mean_return,
        "mean_score": data.mean_score,
        "best_return": float(data.episode_returns.max()),
    }


def resume(
    path: Path,
    *,
    load_data,
    progress: Progress | None = None,
    loggers=(),
    prepare: Callable = loop.unchanged,
):
    """Carry a killed run on from its last checkpoint to the same bits as without the kill.

    Arguments:
        path: the run folder.
        load_data: `(record) -> OfflineData`, finds the run's own data again.
        progress: as in `start`.
        loggers: as in `start`.
        prepare: as in `start`, for a run that was killed before its first checkpoint.

    Raises:
        RunError: the data has another SHA-256, or another writer holds the folder.
    """
    run = RunFolder.open(Path(path), write=True)
    plan = Plan.from_dict(run.config)
    try:
        data = load_again(path, run.record, load_data)
    except Exception:
        run.close()
        raise
    progress = progress or Progress()
    dataset = place(plan.settings, data, progress)
    return _carry_out(run, plan, dataset, data.spec, progress, loggers, prepare)


def load_again(path: Path, record: dict[str, Any], load_data):
    """The data of a run, `load_data(record)`, if they are what it was trained on.

    Raises:
        RunError: they are not.
    """
    data = load_data(record)
    expected = record["data"]["sha256"]
    if data.sha256 != expected:
        raise RunError(
            f"{path}: the run was trained on data with SHA-256 {expected[:12]}…, but {data.path} "
            f"has {data.sha256[:12]}…; give the run's own file with --data."
        )
    return data


def _carry_out(run, plan, dataset, spec, progress, loggers, prepare) -> Path:
    mirrors = tuple(make_loggers(loggers, run.path, plan.to_dict()))
    try:
        with recording([run]), progress:
            loop.train(
                plan.build(),
                dataset,
                spec,
                run,
                seeds=plan.seeds,
                settings=plan.settings,
                progress=progress,
                mirrors=mirrors,
                prepare=prepare,
            )
    finally:
        for mirror in mirrors:
            mirror.close()
        run.close()
    return run.path


@contextmanager
def recording(runs: Sequence[RunFolder]) -> Iterator[None]:
    """The status of runs in their `run.json` while they are carried out."""
    started = time.time()
    for run in runs:
        run.update_record(status="running")
    try:
        yield
    except Exception:
        for run in runs:
            run.update_record(status="failed")
        raise
    for run in runs:
        run.update_record(status="finished", seconds_of_last_part=round(time.time() - started, 1))
