"""Everything both families use; `import shared` gives the Python API of the commands.

The names below are loaded on first use, so that light parts (errors, types)
do not pay for JAX and simulators.
"""

import importlib

_API = {
    "load_data": "shared.loading.request",
    "DataRequest": "shared.loading.request",
    "Request": "shared.runs.request",
    "train": "shared.runs.start",
    "start": "shared.runs.start",
    "make_plan": "shared.runs.plan",
    "train_plan": "shared.runs.start",
    "resume": "shared.runs.resume",
    "evaluate_run": "shared.runs.trained",
    "load_policy": "shared.runs.trained",
    "read_run": "shared.comparison.read",
}
__all__ = list(_API)


def __getattr__(name: str):
    if name in _API:
        return getattr(importlib.import_module(_API[name]), name)
    raise AttributeError(f"module 'shared' has no attribute '{name}'")
