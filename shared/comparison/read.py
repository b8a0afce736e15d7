"""From a run folder to a checked `Run`.

A run folder is the only thing that comparison looks at: `run.json` (what was
trained on what), `config.yaml` (with which settings), `scores.csv` (what each
evaluation episode returned) and `metrics.csv`.  The environment of a run is
the benchmark's name of task and data, such as `hopper-medium`.
"""

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from shared.comparison.csv_tables import Episode, read_scores
from shared.comparison.record import SOURCES, DataRecord, Origin, Run
from shared.errors import RunError
from shared.record.schema import STATUSES, UNFINISHED, status_of


def read_run(path: str | Path) -> Run:
    """Read and check one run folder.

    Raises:
        RunError: if a file of the folder is missing, damaged or contradicts
            another; the sentence names the file and the mend.
    """
    path = Path(path)
    file = path / "run.json"
    record = _load(file, json.loads)
    config = _load(path / "config.yaml", yaml.safe_load)
    source, status = _get(file, record, "source", str), _get(file, record, "status", str)
    algorithm = _agreed(path, record, config, "algorithm")
    name = "dataset" if "dataset" in record else "environment"
    environment = _agreed(path, record, config, name)
    _one_of(file, "source", source, SOURCES)
    _one_of(file, "status", status, STATUSES)
    status = status_of(path, record)
    seeds = _seeds(file, record)
    episodes = read_scores(path / "scores.csv", running=status in UNFINISHED)
    _check_episodes(path / "scores.csv", episodes, source, seeds)
    return Run(
        folders=(path,),
        algorithm=algorithm,
        environment=environment,
        label=_plain(record.get("label") or algorithm),
        source=source,
        data=_data(file, _get(file, record, "data", dict)),
        seeds=seeds,
        phases=_phases(file, _get(file, record, "phases", list)),
        status=status,
        episodes=episodes,
        preset=_plain(config.get("preset") or ""),
        hyperparameters=_mapping(config.get("hyperparameters")),
        versions=_versions(record.get("versions")),
        devices=_devices(record.get("devices")),
        family=_plain(config.get("family") or ""),
        settings=_mapping(config.get("run")),
        origins=(_origin(path, record, seeds),),
    )


def find_runs(paths: Iterable[str | Path]) -> list[Run]:
    """Read every run folder among `paths` and below them, each once, in order.

    Raises:
        RunError: if a path is absent or holds no run folder, or a run is damaged.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise RunError(f"{path} is not a folder; name a run folder or a folder of run folders.")
        count = 0
        for folder, children, files in os.walk(path):
            children.sort()
            if "run.json" in files:
                found.setdefault(Path(folder).resolve())
                children.clear()
                count += 1
        if not count:
            raise RunError(f"{path} holds no run folder (no run.json in it); name one that does.")
    return [read_run(path) for path in found]


def _load(file: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        content = parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{file} is missing, so this is no whole run folder; restore it or train again."
        ) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise RunError(f"{file} is damaged ({reason}); restore it or train again.") from error
    if not isinstance(content, dict):
        raise RunError(f"{file} is damaged (no mapping at its top); restore it or train again.")
    return content


def _get(file: Path, record: dict[str, Any], key: str, kind: type) -> Any:
    """The value under `key`; texts come without control characters and not empty."""
    value = record.get(key)
    if isinstance(value, str):
        value = _plain(value)
    if not isinstance(value, kind) or not value:
        name = {str: "text", list: "list", dict: "mapping"}[kind]
        raise RunError(f"{file} has no {name} under '{key}'; restore it or train again.")
    return value


def _agreed(path: Path, record: dict[str, Any], config: dict[str, Any], key: str) -> str:
    """The text that run.json has under `key`, and that config.yaml must not deny."""
    value = _get(path / "run.json", record, key, str)
    other = _plain(config.get(key, value))
    if other != value:
        raise RunError(
            f"{path} contradicts itself: config.yaml gives the {key} '{other}', run.json "
            f"'{value}'; restore the file that was changed."
        )
    return value


def _one_of(file: Path, key: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise RunError(
            f"{file} has '{value}' under '{key}', which is none of {', '.join(known)}; restore it."
        )


def _seeds(file: Path, record: dict[str, Any]) -> tuple[int, ...]:
    seeds = _get(file, record, "seeds", list)
    if not all(type(seed) is int for seed in seeds) or len(set(seeds)) != len(seeds):
        raise RunError(f"{file} needs different whole numbers under 'seeds'; restore it.")
    return tuple(seeds)


def _phases(file: Path, phases: list) -> tuple[tuple[str, int], ...]:
    try:
        return tuple((_plain(phase["name"]), int(phase["steps"])) for phase in phases)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{file} needs a name and a number of steps for each of its 'phases'; restore it."
        ) from error


def _data(file: Path, record: dict[str, Any]) -> DataRecord:
    def number(key: str, kind: type):
        value = record.get(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not math.isfinite(value):
            raise RunError(f"{file} has no number under 'data: {key}'; restore it or train again.")
        return kind(value)

    return DataRecord(
        _get(file, record, "name", str),
        _get(file, record, "sha256", str),
        *(number(key, int) for key in ("rows", "episodes")),
        *(number(key, float) for key in ("mean_return", "mean_score", "best_return", "p90_return")),
    )


def _origin(path: Path, record: dict[str, Any], seeds: tuple[int, ...]) -> Origin:
    """What older versions did not record stays None."""

    def number(mapping: dict[str, Any], key: str):
        value = mapping.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return value if math.isfinite(value) and value >= 0 else None

    usage, model = _mapping(record.get("usage")), _mapping(record.get("model")).get("run")
    seconds, cpu = number(usage, "seconds"), number(usage, "cpu_seconds")
    return Origin(
        folder=path,
        seeds=seeds,
        command=_plain(record.get("command") or ""),
        commit=_plain(record.get("commit") or "") or None,
        parameters=number(record, "parameters"),
        cores=cpu / seconds if seconds and cpu is not None else None,
        peak_memory=number(usage, "peak_memory"),
        peak_device_memory=number(usage, "peak_device_memory"),
        model=Path(model) if isinstance(model, str) else None,
    )


def _check_episodes(file: Path, episodes: tuple[Episode, ...], source: str, seeds: tuple) -> None:
    for episode in episodes:
        if episode.source != source:
            raise RunError(
                f"{file} names the data source {episode.source!r} where run.json says '{source}'; "
                "restore the file that was changed."
            )
        if episode.seed not in seeds:
            raise RunError(
                f"{file} scores seed {episode.seed}, which run.json does not list; restore the "
                "file that was changed."
            )
    blank = [math.isnan(episode.score) for episode in episodes]
    if any(blank) and not all(blank):
        raise RunError(
            f"{file} leaves the score of some episodes blank, but not of all; restore it."
        )


def _mapping(value: Any) -> dict[Any, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _versions(value: Any) -> dict[str, str]:
    return {_plain(k): _plain(v) for k, v in _mapping(value).items() if v is not None}


def _devices(value: Any) -> str:
    parts = value if isinstance(value, list) else [value or ""]
    return ", ".join(_plain(part) for part in parts)


def _plain(value: Any) -> str:
    """Text without control characters, which a terminal would obey."""
    return "".join(c for c in str(value) if c.isprintable()).strip()
