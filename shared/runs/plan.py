"""A plan: every value of a run, resolved and checked; what `config.yaml` holds."""

from dataclasses import asdict, dataclass
from typing import Any

from shared.data.catalog import canonical_name
from shared.errors import ConfigError
from shared.runs import config, registry
from shared.training import online
from shared.training.chunked import Chunked, chunked
from shared.training.encoded import Encoded
from shared.training.on_states import OnStates
from shared.training.settings import RunSettings

SEEDS = 1 << 32
"""Seeds are numbers below this one: more would be cut to 32 bits."""


@dataclass(frozen=True)
class Plan:
    """A fully resolved run: what `config.yaml` holds.

    `features` is the plan of the run on whose model's states it learns, if it does.
    """

    family: str
    algorithm: str
    dataset: str
    preset: str
    seeds: tuple[int, ...]
    hyperparameters: dict[str, Any]
    settings: RunSettings
    features: dict[str, Any] | None = None

    def build(self):
        """The algorithm object of this plan."""
        found, pixels = registry.find(self.family, self.algorithm), self.settings.observation
        if self.features is None:
            built = config.build(found, self.hyperparameters, pixels=pixels == "pixels")
            return _without_chunks(built) if isinstance(built, Encoded) else chunked(built)
        model = Plan.from_dict(self.features).build()
        return _without_chunks(OnStates(config.build(found, self.hyperparameters), model))

    def to_dict(self) -> dict[str, Any]:
        """As plain YAML values."""
        values = {
            key: [list(v) if isinstance(v, tuple) else v][0]
            for key, v in self.hyperparameters.items()
        }
        plain = {
            "family": self.family,
            "algorithm": self.algorithm,
            "dataset": self.dataset,
            "preset": self.preset,
            "seeds": list(self.seeds),
            "hyperparameters": values,
            "run": asdict(self.settings),
        }
        return plain | ({} if self.features is None else {"features": self.features})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Plan":
        """The inverse of `to_dict`, checked again."""
        family, name, dataset = values["family"], values["algorithm"], values["dataset"]
        found = registry.find(family, name)
        # A run of an earlier version lacks the settings that came later.
        settings = config.resolve(RunSettings, "run", dataset=dataset, overrides=values["run"])
        features = values.get("features")
        pixels = settings["observation"] == "pixels" and features is None
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
            features,
        )


def make_plan(
    family: str,
    algorithm: str,
    dataset: str,
    *,
    preset: str = "paper",
    seeds: int | tuple[int, ...] = 1,
    overrides: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
) -> Plan:
    """Resolve every value of a run; `overrides` may name hyperparameters and run settings.

    With `features` it learns on the states of the model of that plan, a `Plan.to_dict`.

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
    if features is not None and not algorithm_class.of_rows:
        raise ConfigError(f"'{algorithm}' draws no single rows; leave out --features.")
    if pixels and features is None and "pixels" not in algorithm_class.observations:
        raise ConfigError(f"'{algorithm}' learns from states; leave out --observation pixels.")
    hyperparameters = config.resolve(
        algorithm_class,
        algorithm,
        dataset=dataset,
        preset=preset,
        pixels=pixels and features is None,
        overrides=overrides,
        also_known=known,
        file=algorithm_class.values,
    )
    # An algorithm may have presets that say nothing of how a run is carried out.
    of_run = preset if preset in config.load_values("run")["presets"] else "paper"
    settings = config.resolve(
        RunSettings, "run", dataset=dataset, preset=of_run, pixels=pixels, overrides=run_overrides
    )
    numbers = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not numbers:
        raise ConfigError("--seeds must be at least 1.")
    if len({*numbers}) < len(numbers):
        raise ConfigError(f"--seeds: {list(numbers)} has a number twice; give each seed once.")
    if odd := next((x for x in numbers if not 0 <= x < SEEDS), None):
        raise ConfigError(f"--seed: a seed must lie from 0 to {SEEDS - 1:,}, and {odd} does not.")
    plan = Plan(
        family,
        algorithm,
        dataset,
        preset,
        numbers,
        hyperparameters,
        RunSettings(**settings),
        features,
    )
    _check_online(family, algorithm, plan.settings, plan.build())
    return plan


def _without_chunks(algorithm: Encoded | OnStates) -> Encoded | OnStates:
    """The same; a ConfigError if it is to draw chunks, which only rows of states have."""
    inner = algorithm.algorithm
    for name, value in (("chunk", inner.chunk), ("n_step", inner.n_step)):
        if value > 1:
            raise ConfigError(f"{name} is {value}, but features are not drawn so; set it to 1.")
    return algorithm


def _check_online(family: str, name: str, settings: RunSettings, algorithm) -> None:
    """Can this algorithm be fine-tuned, and with these settings?"""
    if settings.online_steps == 0:
        return
    if isinstance(algorithm, Encoded | OnStates):
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but rows of the simulator cannot be drawn "
            "as features; leave it out, or learn from states."
        )
    if isinstance(algorithm, Chunked):
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but rows of the simulator cannot be drawn "
            "as chunks; leave it out, or set chunk and n_step to 1."
        )
    if algorithm.online() is None:
        able = [n for n, c in registry.algorithms(family).items() if "online" in vars(c)]
        raise ConfigError(
            f"online_steps is {settings.online_steps}, but '{name}' cannot be fine-tuned in the "
            f"simulator; choose one of {', '.join(able)}."
        )
    online.check(settings)
