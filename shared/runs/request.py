"""What a user asks for, in one object: the command line, a suite and Python all make one.

Request -> plan (every value resolved) -> start (data, model, folder, training)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from shared.data.catalog import is_known
from shared.errors import ConfigError
from shared.loading.request import DataRequest
from shared.runs import registry
from shared.runs.plan import Plan, make_plan

OF_DATA = ("observation", "rows", "frame_size", "render", "action_range", "cut_jumps")
"""Settings of a run that say which data it has."""


@dataclass(frozen=True)
class Request:
    """A run, or a sweep of runs, as it is asked for.

    Attributes:
        family: `cnf` or `clap`.
        algorithm: its name there, see `cnf algorithms`.
        data: which data, from where.
        preset: `paper`, or one of the algorithm's own.
        seeds: trained side by side.
        overrides: hyperparameters and run settings by name, as of `--set`.
        sweep: name -> values; a run for every combination.
        model: a run whose frozen model or encoder is taken over.
        features: a run on the states of whose frozen world model is learned.
        out: the new run folder; None is `runs/DATA/ALGORITHM-PRESET`.
        label: of this variant in tables and plots; None is the algorithm's name.
        loggers: any of `tensorboard`, `wandb`.
    """

    family: str
    algorithm: str
    data: DataRequest
    preset: str = "paper"
    seeds: tuple[int, ...] = (0,)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    model: Path | None = None
    features: Path | None = None
    out: Path | None = None
    label: str | None = None
    loggers: tuple[str, ...] = ()

    @property
    def dataset(self) -> str:
        """Name of the data set, which picks values: `--env`'s, or the file's."""
        if self.data.name is not None:
            return self.data.name
        if self.data.path is None:
            raise ConfigError("name a data set (--env NAME, see 'data list') or a file (--data).")
        stem = Path(self.data.path).resolve().stem
        return f"{stem}-file" if is_known(stem) else stem  # a file's name picks no values

    def plan(self, **swept: Any) -> Plan:
        """Every value of this run resolved, with these values of the sweep.

        Raises:
            ConfigError: an unknown algorithm, preset, key or value.
            RunError: the run whose model is asked for is none.
        """
        from shared.runs.frozen_model import plan_of_features

        features = None if self.features is None else plan_of_features(self.features)
        return self.plan_on(features, **swept)

    def plan_on(self, features: Plan | None, **swept: Any) -> Plan:
        """The same, where the run of `features` (None: there is none) need not be there yet."""
        from shared.runs.frozen_model import model_overrides

        overrides = dict(self.overrides)
        if self.data.observation is not None:
            overrides["observation"] = self.data.observation
        if features is not None:
            overrides = self._on_data_of(features, overrides)
        elif self.model is not None:
            taker = registry.find(self.family, self.algorithm)
            overrides = model_overrides(self.model, overrides, taker)
        elif "pixels" in registry.find(self.family, self.algorithm).observations:
            if "observation" not in overrides:
                overrides["observation"] = self.data.default_observation()
        return make_plan(
            self.family,
            self.algorithm,
            self.dataset,
            preset=self.preset,
            seeds=self.seeds,
            overrides=overrides | swept,
            features=None if features is None else features.to_dict(),
        )

    def _on_data_of(self, features: Plan, overrides: dict[str, Any]) -> dict[str, Any]:
        """The overrides of a plan that sees what the model sees, with the data's settings of it."""
        seen = asdict(features.settings)
        if overrides.get("observation", seen["observation"]) != seen["observation"]:
            raise ConfigError(
                f"--observation: the world model of --features sees {seen['observation']}; leave "
                "the option out."
            )
        if self.model is not None:
            raise ConfigError("--features takes over a world model; leave out --model.")
        return {name: seen[name] for name in OF_DATA} | overrides

    def data_of(self, plan: Plan) -> DataRequest:
        """The data with everything that the plan's settings say of them."""
        settings = plan.settings
        return replace(
            self.data,
            observation=settings.observation,
            rows=settings.rows,
            size=settings.frame_size,
            render=settings.render,
            action_range=settings.action_range,
            cut_jumps=settings.cut_jumps,
        )

    def named(self, plan: Plan) -> "Request":
        """The same with the folder and the label that it has unless told."""
        variant = "-pixels" if plan.settings.observation == "pixels" else ""
        variant = variant if plan.features is None else f"-on-{plan.features['algorithm']}"
        folder = Path("runs") / plan.dataset / f"{self.algorithm}-{self.preset}{variant}"
        label = self.label or f"{self.algorithm}{variant}"
        return replace(self, out=self.out or folder, label=label)

    def words(self) -> list[str]:
        """The words that ask for the same on the command line, after the family's name."""
        first, count = self.seeds[0], len(self.seeds)
        options = {
            "--env": self.data.name,
            "--data": self.data.path,
            "--source": self.data.source,
            "--observation": self.data.observation,
            "--algo": self.algorithm,
            "--preset": self.preset,
            "--seeds": count if count > 1 else None,
            "--seed": first or None,
            "--model": self.model,
            "--features": self.features,
            "--out": self.out,
            "--label": self.label,
        }
        words = ["train"]
        for name, value in options.items():
            words += [] if value is None else [name, str(value)]
        for key, value in self.overrides.items():
            words += ["--set", f"{key}={_told(value)}"]
        for key, values in self.sweep.items():
            words += ["--sweep", f"{key}={','.join(map(_told, values))}"]
        return words


def _told(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, str):
        return value if yaml.safe_load(value) == value else json.dumps(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value)
