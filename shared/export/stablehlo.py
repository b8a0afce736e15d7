"""A policy as StableHLO, by `jax.export`: the compiler's own, versioned form.

    manifest.json     what it is, see `shared/export/manifest.py`
    policy.exported   `jax.export.deserialize` reads it; its `mlir_module_serialized` is the
                      portable StableHLO that other compilers read

It runs on CPUs, NVIDIA and AMD GPUs and TPUs.  JAX promises to read it for six months of
releases.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from shared.export.container import digest, read_zip, write_zip
from shared.export.program import PolicyProgram

PART = "policy.exported"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def write_stablehlo(path: Path, program: PolicyProgram, manifest: dict[str, Any]) -> None:
    """Write the file."""
    graph = program.graph
    with jax.enable_x64(True):  # observations may be float64; every other type is its own
        exported = jax.export.export(jax.jit(graph.__call__), platforms=PLATFORMS)(
            *(graph.shape_of(name) for name in graph.inputs)
        )
    part = bytes(exported.serialize())
    sealed = manifest | {"sha256": {PART: digest(part)}}
    write_zip(path, {"manifest.json": json.dumps(sealed, indent=1).encode(), PART: part})


class StableHLO:
    """A StableHLO policy; `step` maps inputs to outputs, both as in the manifest."""

    def __init__(self, path: Path):
        self.manifest, parts = read_zip(path)
        self._call = jax.jit(jax.export.deserialize(bytearray(parts[PART])).call)

    def step(self, inputs: list[Any]) -> list[np.ndarray]:
        """Outputs of inputs, in the manifest's order."""
        with jax.enable_x64(True):
            return [np.asarray(x) for x in self._call(*inputs)]
