"""Suites: several data sets, trained one after another with the same options.

    OUT/<data set>/     an ordinary run folder (or the folder of a sweep) for each
    OUT/comparison/     one table and one plot over all of them

What a suite holds is in `configs/benchmarks.yaml`.
"""

import fnmatch
import json
import shutil
from importlib import resources
from pathlib import Path

import yaml

from shared.data.catalog import CATALOG, Entry
from shared.environments.tasks import nearest
from shared.loading.fetch import is_offline
from shared.loading.places import collected_path, official_path
from shared.errors import ConfigError, RunError
from shared.runs.experiment import Plan
from shared.record.run_folder import RunFolder


def suites() -> dict[str, list[str]]:
    """Every suite's patterns of data set names."""
    text = (resources.files("configs") / "benchmarks.yaml").read_text()
    return yaml.safe_load(text)["suites"]


def data_sets(name: str) -> list[str]:
    """The data sets of a suite, in its order.

    Raises:
        ConfigError: no such suite (names the nearest).
    """
    known = suites()
    if name not in known:
        near = nearest(name, known)
        raise ConfigError(f"suite '{name}' does not exist; the nearest name is '{near}'.")
    found = (x for pattern in known[name] for x in fnmatch.filter(CATALOG, pattern))
    return list(dict.fromkeys(found))


def foresee_source(entry: Entry, source: str | None, data_dir: Path, rows: int) -> str:
    """Where the data of a run would come from now, in a few words; nothing is fetched."""
    official = official_path(entry, data_dir)
    if entry.suite == "vd4rl":
        official = official_path(entry, data_dir)
    if source != "collected" and official.exists():
        return "official, on disk"
    if source == "d4rl":
        return "official, to fetch" if entry.suite != "vd4rl" else "official, MISSING"
    made = collected_path(entry.name, rows, 0, data_dir)
    stand_in = "collected, on disk" if made.exists() else "collected, to record"
    if source == "collected" or is_offline() or entry.suite == "vd4rl":
        return stand_in
    return f"official, to fetch; else {stand_in}"


def status(folder: Path, plan: Plan) -> str:
    """`new`, `unfinished` or `finished`: what there is of one data set's run.

    Raises:
        RunError: a run of other settings than `plan`'s, or files that are no run.
    """
    if not (folder / "run.json").exists():
        _clear(folder)
        return "new"
    run = RunFolder.open(folder, write=False)
    there, wanted = _flat(run.config), _flat(json.loads(json.dumps(plan.to_dict())))
    for key in wanted:
        if there.get(key) != wanted[key]:
            raise RunError(
                f"{folder}: was begun with {key} {there.get(key)!r}, not {wanted[key]!r}; choose "
                "another --out."
            )
    return "finished" if run.record["status"] == "finished" else "unfinished"


def _flat(config: dict) -> dict:
    """Settings of all levels by their own names."""
    flat = {k: v for k, v in config.items() if not isinstance(v, dict)}
    for part in ("hyperparameters", "run"):
        flat |= config.get(part) or {}
    return flat


def _clear(folder: Path) -> None:
    """Remove what a kill left of a run folder that was not complete yet."""
    names = {x.name for x in folder.iterdir()} if folder.is_dir() else set()
    if names and all(x in (".lock", "config.yaml") or x.startswith(".") for x in names):
        shutil.rmtree(folder)
