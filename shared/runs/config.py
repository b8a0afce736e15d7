"""From YAML values and `--set` to an algorithm object, refusing every unknown key.

Names, types and documentation of hyperparameters live in the algorithm's
class; values live in `configs/<algorithm>.yaml`:

    defaults:  {key: value, ...}            # every hyperparameter, the paper's values
    datasets:                               # matched in order, later blocks win
      "hopper-*": {key: value, ...}
    presets:
      quick: {key: value, ...}              # for a laptop; `paper` is the empty preset
    pixels:                                 # with `--observation pixels`, any of the three
      defaults: ...

The order is defaults < data set blocks < preset < `--set key=value`; what stands below
`pixels` comes right behind its namesake.
"""

import copy
import dataclasses
import difflib
import fnmatch
import functools
import types
import typing
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from shared.algorithm import AbstractAlgorithm
from shared.errors import ConfigError

PARTS = ("defaults", "datasets", "presets")
SECTIONS = (*PARTS, "pixels")


def load_values(algorithm: str, file: Path | None = None) -> dict[str, Any]:
    """The YAML document of an algorithm: the packaged one, or a user's own `file`."""
    source = file if file is not None else resources.files("configs") / f"{algorithm}.yaml"
    try:
        document = copy.deepcopy(_parse(source.read_text()))
    except (OSError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{source}: cannot be read as YAML ({reason}); mend the file.") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{source}: must be a mapping with the key 'defaults'.")
    _check_sections(document, SECTIONS, str(source))
    _check_sections(document["pixels"], PARTS, f"{source}: pixels")
    return document


def _check_sections(document: dict[str, Any], sections: tuple[str, ...], where: str) -> None:
    _refuse_unknown(document, sections, where)
    for section in sections:
        if not isinstance(document.setdefault(section, {}) or {}, dict):
            raise ConfigError(f"{where}: '{section}' must be a mapping.")
        document[section] = document[section] or {}


@functools.lru_cache(maxsize=64)
def _parse(text: str) -> Any:
    return yaml.safe_load(text)


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
    names = [field.name for field in dataclasses.fields(algorithm_class)]
    _refuse_unknown(overrides or {}, [*names, *also_known], "--set")
    document = load_values(name, file)
    if preset not in ("paper", *document["presets"]):
        known = ", ".join(["paper", *document["presets"]])
        raise ConfigError(f"preset '{preset}' does not exist for {name}; choose one of {known}.")
    parts = [document, document["pixels"]] if pixels else [document]
    blocks = [("*", part["defaults"]) for part in parts]
    blocks += [item for part in parts for item in part["datasets"].items()]
    for part in parts:
        blocks += _preset_blocks(part["presets"].get(preset, {})).items()
    values = {}
    for pattern, block in blocks:
        if fnmatch.fnmatchcase(dataset, pattern):
            values |= block
    values |= overrides or {}
    return check(algorithm_class, values, where=f"configuration of {name}")


def check(algorithm_class: type, values: dict[str, Any], *, where: str) -> dict[str, Any]:
    """`values` with every type checked and converted without loss."""
    hints = typing.get_type_hints(algorithm_class)
    names = [field.name for field in dataclasses.fields(algorithm_class)]
    _refuse_unknown(values, names, where)
    missing = [n for n in names if n not in values]
    if missing:
        raise ConfigError(f"{where}: '{missing[0]}' has no value; add it under 'defaults'.")
    return {n: convert(values[n], hints[n], f"{where}: '{n}'") for n in names}


def build(algorithm_class: type[AbstractAlgorithm], values: dict[str, Any]) -> AbstractAlgorithm:
    """The algorithm object; lists become tuples so that it can be hashed."""
    checked = check(algorithm_class, values, where=algorithm_class.__name__)
    return algorithm_class(**checked)


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("discount=0.98", "hidden_sizes=[64, 64]")` as a mapping; values are YAML."""
    overrides = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set '{pair}' is not of the form key=value.")
        try:
            overrides[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set '{pair}': the value is not valid YAML.") from error
    return overrides


def parse_sweeps(texts: tuple[str, ...]) -> dict[str, list[float]]:
    """`("support=0.5,1", "tau=0.01,0.02")` as name -> different numbers.

    Raises:
        ConfigError: no list of numbers, or a number twice.
    """
    swept = {}
    for text in texts:
        key, _, values = text.partition("=")
        try:
            numbers = [float(value) for value in values.split(",")]
        except ValueError:
            numbers = []
        if not key or not numbers or len(set(numbers)) < len(numbers):
            raise ConfigError(f"--sweep '{text}' is not of the form key=1,2,3 (each value once).")
        swept[key.strip()] = numbers
    return swept


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as type `hint`, or a ConfigError; never rounds and never guesses."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return convert(value, next(a for a in arguments if a is not type(None)), where)
    if origin is typing.Literal:
        if value not in arguments:
            near = _nearest(str(value), [str(a) for a in arguments])
            raise ConfigError(f"{where} is {value!r}; choose one of {list(arguments)}{near}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {value!r}; write a list such as [256, 256].")
        return tuple(convert(v, arguments[0], where) for v in value)
    return _convert_scalar(value, hint, where)


def _convert_scalar(value: Any, hint: type, where: str) -> Any:
    if isinstance(value, bool) or hint is bool:
        if hint is bool and isinstance(value, bool):
            return value
    elif hint is float and isinstance(value, int | float | str):
        try:  # YAML reads 1e-3 as text
            return float(value)
        except ValueError:
            pass
    elif hint is int and isinstance(value, int | float) and int(value) == value:
        return int(value)
    elif hint is int and isinstance(value, str):
        try:
            if float(value) == int(float(value)):
                return int(float(value))
        except ValueError:
            pass
    elif hint is str and isinstance(value, str):
        return value
    raise ConfigError(f"{where} is {value!r}; it must be of type {hint.__name__}.")


def _preset_blocks(block: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A preset is a flat mapping, or one mapping per data set pattern."""
    nested = {k: v for k, v in block.items() if isinstance(v, dict)}
    flat = {k: v for k, v in block.items() if not isinstance(v, dict)}
    return {"*": flat, **nested}


def _refuse_unknown(values: dict[str, Any], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in values:
        if key not in known:
            near = _nearest(str(key), known)
            raise ConfigError(f"{where}: unknown key '{key}'{near}.")


def _nearest(word: str, known: list[str]) -> str:
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"; the nearest valid name is '{match[0]}'" if match else ""
