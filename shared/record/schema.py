"""What the files of a run folder hold: columns of its tables, and how a run can stand.

The writer (`run_folder`) and the readers (`shared.comparison`) take it from here.
"""

from pathlib import Path
from typing import Any

from shared.storage.locks import is_held

SCORE_COLUMNS = (
    "phase", "step", "seed", "mode", "episode", "return", "score", "length", "source",
)  # fmt: skip
"""Of `scores.csv`, one row an evaluation episode."""
MODES = ("deterministic", "sampled")
"""How a policy acts in an episode, in the column `mode`."""
SWEEP_FILE = "sweep.json"
"""In the folder of a sweep, whose run folders stand beside it."""
JUDGED_FILE = "judged.csv"
"""Of a run whose last policy was judged by data and simulator, see `shared/choice/judged.py`."""
JUDGED_COLUMNS = (
    "step", "seed", "width", "distance", "beyond", "believed", "earned", "unit",
)  # fmt: skip
"""Of that file, one row a seed; what a method has not is blank."""
METRIC_COLUMNS = ("phase", "step", "seed", "seconds", "updates_per_second")
"""Of `metrics.csv`, one row a compiled call and seed; the metrics themselves follow."""
STATUSES = ("waiting", "running", "stopped", "interrupted", "failed", "finished")
"""`waiting` has not begun; `stopped` says `running`, but no process writes it any more."""
UNFINISHED = ("waiting", "running", "stopped", "interrupted")
"""Whose tables may end in the middle of a line."""


def status_of(path: Path, record: dict[str, Any]) -> str:
    """One of `STATUSES`: what a run's record says, if its writer is still there to mean it."""
    status = str(record.get("status"))
    return "stopped" if status == "running" and not is_held(path / ".lock") else status
