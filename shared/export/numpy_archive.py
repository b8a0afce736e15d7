"""A policy as a NumPy archive: arrays, and a list of operations on them.

    manifest.json    what it is, see `shared/export/manifest.py`
    program.json     operations by name: [name, inputs, output, further arguments]
    c7.npy, ...      constants by the number of their value

`shared/export/reader.py` runs it and needs NumPy alone.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import ExportError
from shared.export.container import MANIFEST, digest, write_zip
from shared.export.operations import operations_of
from shared.export.program import PolicyProgram
from shared.export.reader import Policy


def write_archive(path: Path, program: PolicyProgram, manifest: dict[str, Any]) -> None:
    """Write the archive.

    Raises:
        ExportError: an operation that the reader does not know.
    """
    graph, operations = program.graph, operations_of(program.graph)
    parts = {f"c{i}.npy": _npy(x) for i, x in operations.constants.items()}
    listed = {
        "values": operations.count,
        "inputs": [*graph.inputs.values()],
        "outputs": [*graph.outputs.values()],
        "constants": {f"c{i}.npy": i for i in operations.constants},
        "ops": operations.steps,
    }
    parts["program.json"] = json.dumps(listed).encode()
    sealed = manifest | {"sha256": {name: digest(part) for name, part in parts.items()}}
    write_zip(path, {MANIFEST: json.dumps(sealed, indent=1).encode()} | parts)


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array).reshape(np.shape(array)), allow_pickle=False)
    return buffer.getvalue()


class NumPyArchive:
    """An archive of NumPy arrays; `step` maps inputs to outputs, both as in the manifest."""

    def __init__(self, path: Path):
        try:
            self._policy = Policy(path)
        except ValueError as error:
            raise ExportError(str(error)) from error
        self.manifest, self.step = self._policy.manifest, self._policy.step
