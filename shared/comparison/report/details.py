"""Where the numbers of a run come from: its folders, commands, commits, data and settings."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shared.comparison.record import SOURCES, Origin, Run


class Folder(NamedTuple):
    """One run folder: where it lies below what all runs share, its seeds, command and commit."""

    place: str
    seeds: str
    command: str
    commit: str


class Setting(NamedTuple):
    """A setting; `differs` if runs of the same algorithm do not agree on it."""

    name: str
    value: str
    differs: bool


class Details(NamedTuple):
    """All of one pooled run; `facts` are names with texts."""

    number: int
    title: str
    facts: list[tuple[str, str]]
    folders: list[Folder]
    hyperparameters: list[Setting]
    settings: list[Setting]


def details_of(runs: Sequence[Run]) -> list[Details]:
    """One a pooled run, in their order."""
    places = [origin.folder.absolute() for run in runs for origin in run.origins]
    root = Path(os.path.commonpath(places)) if len(places) > 1 else places[0].parent
    return [_details(k, run, runs, root) for k, run in enumerate(runs)]


def _details(number: int, run: Run, runs: Sequence[Run], root: Path) -> Details:
    alike = [r for r in runs if (r.family, r.algorithm) == (run.family, run.algorithm)]
    return Details(
        number,
        f"{run.label} on {run.environment}",
        _facts(run),
        [_folder(origin, root) for origin in run.origins],
        _settings(run.hyperparameters, [r.hyperparameters for r in alike]),
        _settings(run.settings, [r.settings for r in alike]),
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    data = run.data
    counts = [f"{data.rows:,} rows" if data.rows else "", f"{data.episodes:,} episodes"]
    sizes = ", ".join(filter(None, counts if data.episodes else counts[:1]))
    versions = ", ".join(f"{k} {v}" for k, v in run.versions.items() if k not in _MACHINE)
    facts = [
        ("algorithm", f"{run.algorithm} ({run.family})" if run.family else run.algorithm),
        ("preset", run.preset),
        ("status", run.status),
        ("phases", ", ".join(f"{name} {steps:,}" for name, steps in run.phases)),
        ("data", f"{data.name}, {sizes}" if sizes else data.name),
        ("source", f"{run.source}: {SOURCES[run.source]}"),
        ("SHA-256 of the data", data.sha256),
        ("device", run.versions.get("device_kind") or run.devices),
        ("versions", versions),
    ]
    return [(name, text) for name, text in facts if text]


_MACHINE = ("platform", "device_kind")
"""Entries of the versions that name a machine, or stand elsewhere."""


def _folder(origin: Origin, root: Path) -> Folder:
    place = origin.folder.absolute().relative_to(root).as_posix()
    seeds = ", ".join(map(str, origin.seeds))
    return Folder(place, seeds, origin.command or "n/a", origin.commit or "n/a")


def _settings(own: dict[str, Any], others: Sequence[dict[str, Any]]) -> list[Setting]:
    return [
        Setting(name, _text(value), any(other.get(name, value) != value for other in others))
        for name, value in own.items()
    ]


def _text(value: Any) -> str:
    """As `--set` takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "[" + ",".join(map(_text, value)) + "]" if isinstance(value, list) else str(value)
