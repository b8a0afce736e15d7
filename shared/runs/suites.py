"""Suites: several data sets, trained one after another with the same options.

    OUT/<data set>/     an ordinary run folder (or the folder of a sweep) for each
    OUT/comparison/     one table and one plot over all of them

Which data sets a suite holds: `shared/data/suites.py`.
"""

import json
import shutil
from pathlib import Path

from shared.data.catalog import Entry
from shared.errors import RunError
from shared.loading.fetch import is_offline
from shared.loading.places import collected_path, official_path
from shared.record.run_folder import RunFolder
from shared.runs.plan import Plan


def foresee_source(entry: Entry, source: str | None, data_dir: Path, rows: int) -> str:
    """Where the data of a run would come from now, in a few words; nothing is fetched."""
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
