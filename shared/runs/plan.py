"""A plan: every value of a run, resolved and checked; what `config.yaml` holds."""

from dataclasses import asdict, dataclass
from typing import Any

from shared.data.catalog import canonical_name
from shared.errors import ConfigError
from shared.runs import config, registry
from shared.training import online
from shared.training.chunked import Chunked, chunked
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
        found, pixels = registry.find(self.family, self.algorithm), self.settings.observation
        return chunked(config.build(found, self.hyperparameters, pixels=pixels == "pixels"))

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
        settings = config.resolve(RunSettings, "run", dataset=dataset, overrides=values["run"])
        pixels = settings["observation"] == "pixels"
        filled = config.resolve(found, name, dataset=dataset, pixels=pixels, file=found.values)
        filled |= values["hyperparameters"]
        owners = config.owners_of(found, pixels=pixels)
        checked = config.check(owners, filled, where="config.yaml")
        return cls(
            family,
            name,
            dataset,
            values["preset"],
            tuple(values["seeds"]),
            checked,
            RunSettings(**settings),
        )


def make_plan(
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
    dataset = canonical_name(dataset)
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
        file=algorithm_class.values,
    )
    # An algorithm may have presets that say nothing of how a run is carried out.
    of_run = preset if preset in config.load_values("run")["presets"] else "paper"
    settings = config.resolve(
        RunSettings, "run", dataset=dataset, preset=of_run, pixels=pixels, overrides=run_overrides
    )
    built = chunked(config.build(algorithm_class, hyperparameters, pixels=pixels))
    _check_online(family, algorithm, RunSettings(**settings), built)
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
    if isinstance(algorithm, Chunked):
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but rows of the simulator cannot be drawn "
            "as chunks; leave it out, or set chunk and n_step to 1."
        )
    if settings.observation == "pixels":
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but frames of a simulator are not kept; "
            "leave it out, or learn from states."
        )
    if algorithm.online() is None:
        able = [n for n, c in registry.algorithms(family).items() if "online" in vars(c)]
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but '{name}' cannot be fine-tuned in the "
            f"simulator; choose one of {', '.join(able)}."
        )
    online.check(settings)
