"""From YAML values and `--set` to an algorithm object, refusing every unknown key.

Names, types, ranges and documentation of hyperparameters live in the algorithm's
class; values live in `configs/<algorithm>.yaml`:

    defaults:  {key: value, ...}            # every hyperparameter, the paper's values
    datasets:                               # for the data sets that a pattern matches
      "hopper-*": {key: value, ...}
    presets:
      quick:                                # for a laptop; `paper` is the empty preset
        key: value                          # for all data sets
        "hopper-*": {key: value, ...}       # for those that a pattern matches
    pixels:                                 # with `--observation pixels`, any of the three
      defaults: ...

An algorithm of vectors that learns from pixels behind an encoder has the encoder's hyperparameters
(`shared/training/encoded.py`) besides its own; their common values are in `configs/encoding.yaml`.

**Precedence**, the last word first:

    1. `--set key=value`
    2. the preset's blocks of data sets
    3. the blocks of `datasets`
    4. the preset's values for all data sets
    5. `defaults`

So what a file says of a data set is never lost to what a preset says of all, unless the preset
names the data set itself.  Within 2 and within 3 the narrowest pattern that matches wins, not the
last in the file (`shared/runs/patterns.py`).  What stands below `pixels` comes right before its
namesake.  `configs/resolved.csv` holds the outcome for every algorithm, preset and data set; a
test compares it, `scripts/resolved` writes it again.
"""

import contextlib
import dataclasses
import functools
import typing
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from shared.algorithm import AbstractAlgorithm
from shared.errors import ConfigError
from shared.runs.conversion import convert, refuse_unknown
from shared.runs.patterns import Block, values_for
from shared.storage.yaml_text import load_yaml, told
from shared.training.encoded import Encoded, Encoding

PARTS = ("defaults", "datasets", "presets")
SECTIONS = (*PARTS, "pixels")
OPTIONS = (
    "env",
    "algo",
    "data",
    "source",
    "observation",
    "preset",
    "seed",
    "seeds",
    "out",
    "label",
)
"""Of `train`: what users take for settings."""


def load_values(algorithm: str, file: Path | None = None) -> dict[str, Any]:
    """The YAML document of an algorithm: the packaged one, or a user's own `file`.

    It is the same object at every call: read it, never change it.
    """
    source = file if file is not None else resources.files("configs") / f"{algorithm}.yaml"
    try:
        return _parse(source.read_text(), str(source))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{source}: cannot be read as YAML ({told(error)}); mend the file."
        ) from error


def _check_sections(document: dict[str, Any], sections: tuple[str, ...], where: str) -> None:
    refuse_unknown(document, sections, where)
    for section in sections:
        if not isinstance(document.setdefault(section, {}) or {}, dict):
            raise ConfigError(f"{where}: '{section}' must be a mapping.")
        document[section] = document[section] or {}
    for part in ("datasets", "presets"):
        for name, block in document[part].items():
            if not isinstance(block, dict):
                raise ConfigError(f"{where}: '{name}' under '{part}' must be a mapping.")


@functools.lru_cache(maxsize=64)
def _parse(text: str, where: str) -> dict[str, Any]:
    document = load_yaml(text)
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: must be a mapping with the key 'defaults'.")
    _check_sections(document, SECTIONS, where)
    _check_sections(document["pixels"], PARTS, f"{where}: pixels")
    return document


def resolve(
    algorithm_class: type,
    name: str,
    *,
    dataset: str,
    preset: str = "paper",
    pixels: bool = False,
    overrides: dict[str, Any] | None = None,
    also_known: Iterable[str] = (),
    file: Path | None = None,
) -> dict[str, Any]:
    """Every hyperparameter of `algorithm_class` for one data set, checked and typed.

    Arguments:
        algorithm_class: a dataclass whose annotated fields are the known keys.
        name: of its YAML file.
        dataset: picks the matching data set blocks.
        preset: `paper` or one of the file's presets.
        pixels: apply what the file says of pixels, too.
        overrides: the values of `--set`.
        also_known: further keys of `--set`, for the hint at the nearest name.
        file: a YAML file other than the packaged one.

    Raises:
        ConfigError: unknown, missing or mistyped key; unknown preset.
    """
    owners = owners_of(algorithm_class, pixels=pixels)
    known = [*_hints(owners), *also_known]
    if key := next((x for x in overrides or {} if x in OPTIONS and x not in known), None):
        raise ConfigError(f"--set: '{key}' is no setting but an option; write --{key} VALUE.")
    refuse_unknown(overrides or {}, known, "--set")
    document = load_values(name, file)
    if preset not in ("paper", *document["presets"]):
        known = ", ".join(["paper", *document["presets"]])
        raise ConfigError(f"preset '{preset}' does not exist for {name}; choose one of {known}.")
    parts = [document, document["pixels"]] if pixels else [document]
    if Encoding in owners:
        parts.insert(0, load_values("encoding"))
    values = {}
    for blocks in _levels(parts, preset):
        values |= values_for(dataset, blocks, f"{name}.yaml")
    values |= overrides or {}
    return check(owners, values, where=f"configuration of {name}")


def owners_of(algorithm_class: type, *, pixels: bool) -> tuple[type, ...]:
    """The classes whose annotated fields are the hyperparameters of a run."""
    of_vectors = issubclass(algorithm_class, AbstractAlgorithm) and algorithm_class.shaped_by
    return (algorithm_class, Encoding) if pixels and of_vectors else (algorithm_class,)


def common_values(owners: tuple[type, ...]) -> dict[str, Any]:
    """Defaults that are the same for all algorithms, before any file of theirs speaks."""
    return load_values("encoding")["defaults"] if Encoding in owners else {}


@functools.lru_cache(maxsize=128)
def _hints(owners: tuple[type, ...]) -> dict[str, Any]:
    """The annotated fields of several classes by name."""
    found = {}
    for owner in owners:
        hints = typing.get_type_hints(owner, include_extras=True)
        found |= {field.name: hints[field.name] for field in dataclasses.fields(owner)}
    return found


def _levels(parts: list[dict[str, Any]], preset: str) -> Iterator[list[Block]]:
    """Blocks from the weakest level to the strongest, on each those of pixels last."""
    presets = [part["presets"].get(preset) or {} for part in parts]
    yield from ([("*", part["defaults"])] for part in parts)
    yield from ([("*", _flat(values))] for values in presets)
    yield from ([*part["datasets"].items()] for part in parts)
    yield from ([(k, v) for k, v in values.items() if isinstance(v, dict)] for values in presets)


def _flat(preset: dict[str, Any]) -> dict[str, Any]:
    """What a preset says of all data sets."""
    return {k: v for k, v in preset.items() if not isinstance(v, dict)}


def check(owners: tuple[type, ...], values: dict[str, Any], *, where: str) -> dict[str, Any]:
    """`values` with every type and range checked, converted without loss."""
    hints = _hints(owners)
    refuse_unknown(values, [*hints], where)
    missing = [n for n in hints if n not in values]
    if missing:
        raise ConfigError(f"{where}: '{missing[0]}' has no value; add it under 'defaults'.")
    return {n: convert(values[n], hints[n], f"{where}: '{n}'") for n in hints}


def build(
    algorithm_class: type[AbstractAlgorithm], values: dict[str, Any], *, pixels: bool = False
) -> AbstractAlgorithm:
    """The algorithm object; lists become tuples so that it can be hashed."""
    owners = owners_of(algorithm_class, pixels=pixels)
    checked = check(owners, values, where=algorithm_class.__name__)
    algorithm, *encoding = (
        owner(**{field.name: checked[field.name] for field in dataclasses.fields(owner)})
        for owner in owners
    )
    return Encoded(algorithm, *encoding) if encoding else algorithm


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("discount=0.98", "hidden_sizes=[64, 64]")` as a mapping; values are YAML."""
    overrides = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set '{pair}' is not of the form key=value.")
        try:
            overrides[key.strip()] = load_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set '{pair}': the value is not valid YAML.") from error
    return overrides


def parse_sweeps(texts: tuple[str, ...]) -> dict[str, list[Any]]:
    """`("support=0.5,1", "hidden_sizes=[64],[64,64]")` as name -> different values.

    Raises:
        ConfigError: no list of YAML values, or a value twice.
    """
    swept = {}
    for text in texts:
        key, _, listed = text.partition("=")
        try:
            values = [as_number(value) for value in yaml.safe_load(f"[{listed}]")]
        except yaml.YAMLError:
            values = []
        if not key or not values or any(value in values[:i] for i, value in enumerate(values)):
            raise ConfigError(f"--sweep '{text}' is not of the form key=1,2,3 (each value once).")
        swept[key.strip()] = values
    return swept


def as_number(value: Any) -> Any:
    """YAML reads 1e-3 as text."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
