"""What must not change when a study is killed and run again: all of its tables but for times."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from shared.studies.jobs import Job

TIMES = ("seconds", "updates_per_second")
TIMED = ("comparison.md",)
"""Of a report, what tells how long the runs took."""


def tables_of(jobs: Sequence[Job], report: Path) -> dict[str, str]:
    """Name -> content of a study's tables, and of its report in the folder `report`."""
    found = {}
    for job in jobs:
        for run in job.members:
            name = str(run.relative_to(job.folder.parents[1]))
            found[f"{name}/config"] = (run / "config.yaml").read_text("utf-8")
            found[f"{name}/scores"] = (run / "scores.csv").read_text("utf-8")
            found[f"{name}/metrics"] = _metrics(run / "metrics.csv")
    for file in sorted(report.iterdir()):
        if file.suffix in (".csv", ".json", ".md") and file.name not in TIMED:
            found[file.name] = file.read_text("utf-8")
    return found


def _metrics(file: Path) -> str:
    """The rows of metrics without times."""
    with open(file, encoding="utf-8", newline="") as opened:
        rows = csv.DictReader(opened)
        return json.dumps([{k: v for k, v in row.items() if k not in TIMES} for row in rows])
