"""Everything both families use; `import shared` gives the Python API of the commands.

    train         `cnf train` or `clap train` as a function
    resume        carry on a run or a sweep that was stopped, or make it longer
    evaluate_run  play the last checkpoint of a run in its simulator
    load_policy   the trained policy of a run, a file or a release, to act with
    export_run    `cnf export` as a function
    load_exported  the policy of an exported file, to act with
    load_decoder  the decoder of an exported file
    read_run      what a run folder says: scores, metrics, settings

and its parts:

    load_data     a data set by name, or a file of your own, read and checked
    make_plan     every value of a run resolved: algorithm, data set, preset, overrides
    train_plan    train a plan on loaded data in a new run folder
    DataRequest   which data, from where
    Request       a run or a sweep as it is asked for
    start         train what a request asks for

They are loaded on first use, so that light parts (errors, types) do not pay for JAX and
simulators.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.comparison.read import read_run
    from shared.export.export import export_run
    from shared.export.load import load_decoder, load_exported, load_policy
    from shared.loading.request import DataRequest, load_data
    from shared.runs.plan import make_plan
    from shared.runs.request import Request
    from shared.runs.resume import resume
    from shared.runs.start import start, train, train_plan
    from shared.runs.trained import evaluate_run

__all__ = [
    "DataRequest",
    "Request",
    "evaluate_run",
    "export_run",
    "load_data",
    "load_decoder",
    "load_exported",
    "load_policy",
    "make_plan",
    "read_run",
    "resume",
    "start",
    "train",
    "train_plan",
]

_HOMES = {
    "DataRequest": "shared.loading.request",
    "Request": "shared.runs.request",
    "evaluate_run": "shared.runs.trained",
    "export_run": "shared.export.export",
    "load_data": "shared.loading.request",
    "load_decoder": "shared.export.load",
    "load_exported": "shared.export.load",
    "load_policy": "shared.export.load",
    "make_plan": "shared.runs.plan",
    "read_run": "shared.comparison.read",
    "resume": "shared.runs.resume",
    "start": "shared.runs.start",
    "train": "shared.runs.start",
    "train_plan": "shared.runs.start",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shared' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
