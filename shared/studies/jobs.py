"""A study's runs before they start: every value resolved, with a folder that its values name."""

import fnmatch
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shared.errors import ConfigError, UserError
from shared.loading.request import DataRequest
from shared.runs import members, registry
from shared.runs.frozen_model import overrides_of_model, require_perception
from shared.runs.plan import Plan
from shared.runs.request import Request
from shared.studies.study import DataSet, Row, Study

RUNS = "runs"
"""Folder of the runs, in that of a study."""


@dataclass(frozen=True)
class Job:
    """One run of a study, or the sweep of a row.

    Two rows that come to the same values share one folder, hence one run.

    Attributes:
        row: what it is a line of.
        data: what it is trained on.
        request: as `runs.start` takes it; `out` is its folder.
        plan: every value, without those of a sweep.
        after: folder of the run whose model it needs.
    """

    row: Row
    data: DataSet
    request: Request
    plan: Plan
    after: Path | None

    @property
    def folder(self) -> Path:
        """Of its run, or of its sweep."""
        assert self.request.out is not None
        return self.request.out

    @property
    def name(self) -> str:
        """In messages."""
        return f"{self.data.label}: {self.row.label}"

    @property
    def members(self) -> list[Path]:
        """Its run folders."""
        if not self.row.sweep:
            return [self.folder]
        return [self.folder / name for name in members.names(self.row.sweep)]

    @property
    def shape(self) -> tuple[Any, ...]:
        """Equal for jobs that the same compiled programs serve."""
        plan = self.plan
        values = json.dumps(plan.to_dict() | {"dataset": "", "preset": ""}, sort_keys=True)
        return values, self.data.name and self.data.name.split("-")[0]


def make_jobs(
    study: Study, out: Path, *, data_dir: Path | None = None, only: Sequence[str] = ()
) -> list[Job]:
    """All runs of a study, a data set after the other.

    Arguments:
        study: see `shared.studies.reading`.
        out: its folder.
        data_dir: root of the data's cache.
        only: patterns of rows and of data sets; a job stays if its row is among the rows that they
            match, if any, and its data among the sets, and so does what it needs.

    Raises:
        UserError: of the kind that a row's settings raise; names the row.
    """
    jobs = []
    for data in study.data:
        made: dict[str, Job] = {}
        for row in sorted(study.rows, key=lambda row: row.after is not None):
            source = None if row.after is None else made[row.after]
            try:
                made[row.label] = _job(row, data, source, out.resolve(), data_dir)
            except UserError as error:
                raise type(error)(f"{study.name}: '{row.label}' on {data.label}: {error}") from None
        jobs += [made[row.label] for row in study.rows]
    return _chosen(jobs, only)


def _job(row: Row, data: DataSet, source: Job | None, out: Path, data_dir: Path | None) -> Job:
    request = Request(
        row.family,
        row.algorithm,
        data.request(row.observation, data_dir),
        preset=row.preset,
        seeds=row.seeds,
        overrides=row.overrides,
        sweep=row.sweep,
        label=row.label,
    )
    planned, features = request, None
    if source is not None and row.features_from is not None:
        require_perception(source.plan, f"features_from: '{row.features_from}'")
        features, request = source.plan, replace(request, features=source.folder)
    elif source is not None:
        taker = registry.find(row.family, row.algorithm)
        named = f"row '{row.model_from}'"
        taken = overrides_of_model(source.plan, named, dict(row.overrides), taker)
        planned = replace(request, overrides=taken)
        request = replace(request, model=source.folder)
    plan = planned.plan_on(features)
    for values in members.combinations(row.sweep):  # an unknown name is told before all training
        planned.plan_on(features, **values)
    folder = out / RUNS / plan.dataset / f"{plan.algorithm}-{_identity(plan, row, data, source)}"
    return Job(row, data, replace(request, out=folder), plan, source and source.folder)


def _identity(plan: Plan, row: Row, data: DataSet, source: Job | None) -> str:
    """A digest of all that makes the numbers of a run; names, labels and places do not."""
    values = {
        "plan": plan.to_dict(),
        "sweep": {key: list(swept) for key, swept in row.sweep.items()},
        "data": [data.name, data.source, data.sha256 or (data.file and str(data.file))],
        "model": source and source.folder.name,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def _chosen(jobs: list[Job], only: Sequence[str]) -> list[Job]:
    if not only:
        return jobs
    rows, sets = ({p for p in only if fnmatch.filter(x, p)} for x in _labels(jobs))
    lost = [pattern for pattern in only if pattern not in rows | sets]
    if lost:
        raise ConfigError(f"--only {' '.join(lost)}: matches no row and no data set of the study.")

    def is_wanted(label: str, patterns: set[str]) -> bool:
        return not patterns or any(fnmatch.fnmatch(label, pattern) for pattern in patterns)

    wanted = {
        job.folder
        for job in jobs
        if is_wanted(job.row.label, rows) and is_wanted(job.data.label, sets)
    }
    wanted |= {job.after for job in jobs if job.folder in wanted and job.after is not None}
    return [job for job in jobs if job.folder in wanted]


def _labels(jobs: list[Job]) -> tuple[set[str], set[str]]:
    """Of all rows, and of all data sets."""
    return {job.row.label for job in jobs}, {job.data.label for job in jobs}


def to_plain(request: Request) -> dict[str, Any]:
    """A request as JSON can hold it."""
    return json.loads(json.dumps(asdict(request), default=str))


def from_plain(values: dict[str, Any]) -> Request:
    """The inverse of `to_plain`."""
    values, data = dict(values), dict(values["data"])
    for key in ("path", "data_dir"):
        data[key] = data[key] and Path(data[key])
    for key in ("model", "features", "out"):
        values[key] = values[key] and Path(values[key])
    for key in ("seeds", "loggers"):
        values[key] = tuple(values[key])
    data["action_range"] = data["action_range"] and tuple(data["action_range"])
    return Request(**values | {"data": DataRequest(**data)})
