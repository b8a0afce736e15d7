"""Everything both families use; `import shared` gives the Python API of the commands.

    load_data     a data set by name, or a file of your own, read and checked
    plan          a run with every value resolved: algorithm, data set, preset, overrides
    start         train a plan on loaded data in a new run folder
    resume        carry on a run that was stopped
    evaluate_run  play the last checkpoint of a run in its simulator
    load_policy   the trained policy of a run, to act with
    read_run      what a run folder says: scores, metrics, settings

They are loaded on first use, so that light parts (errors, types) do not pay for JAX and
simulators.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.comparison.read import read_run
    from shared.loading.resolve import load_data
    from shared.runs.experiment import plan, resume, start
    from shared.runs.trained import evaluate_run, load_policy

__all__ = ["evaluate_run", "load_data", "load_policy", "plan", "read_run", "resume", "start"]

_HOMES = {
    "load_data": "shared.loading.resolve",
    "plan": "shared.runs.experiment",
    "start": "shared.runs.experiment",
    "resume": "shared.runs.experiment",
    "evaluate_run": "shared.runs.trained",
    "load_policy": "shared.runs.trained",
    "read_run": "shared.comparison.read",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shared' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
