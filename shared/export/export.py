"""A run's policy, written into one file that needs this package no longer."""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from shared.environments.units import Units
from shared.errors import Advice, ExportError, RunError
from shared.export import reader
from shared.export.manifest import make_manifest
from shared.export.numpy_archive import write_archive
from shared.export.onnx_file import write_onnx
from shared.export.program import PolicyProgram, policy_program
from shared.export.stablehlo import write_stablehlo
from shared.record.schema import status_of
from shared.runs.run_record import observation_shape
from shared.runs.trained import load_state
from shared.storage.durable import disk_errors

WRITERS = {".stablehlo": write_stablehlo, ".onnx": write_onnx, ".npz": write_archive}
READER = "policy_reader.py"
"""Written beside an archive: what runs it, with NumPy alone."""


def export_run(
    run: str | Path,
    *files: str | Path,
    seed: int | None = None,
    checkpoint: str | None = None,
    part: Literal["policy", "decoder"] = "policy",
    sampled: bool = False,
    force: bool = False,
) -> list[Path]:
    """Write the policy of a run's last checkpoint; a file's ending is its format.

    Arguments:
        run: run folder.
        files: end in .stablehlo, .onnx or .npz.
        seed: which of the run's seeds (default: the first).
        checkpoint: name of another checkpoint in the folder.
        part: the policy, or the decoder of its latent actions alone.
        sampled: draw actions; otherwise the policy's mode.
        force: replace files that exist.

    Returns:
        What was written; with an archive also its reader.

    Raises:
        ExportError: an unknown ending, or a policy that the format cannot hold.
        RunError: no run folder, a damaged checkpoint, an unknown seed, or a disk that is full.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        if path.suffix not in WRITERS:
            raise ExportError(f"{path}: a policy file ends in {', '.join(WRITERS)}; choose one.")
        if path.exists() and not force:
            raise ExportError(f"{path}: exists already; choose another name, or give --force.")
    if part == "decoder" and sampled:
        raise ExportError("--part decoder draws nothing, it takes the latent; leave out --sampled.")
    choices = {"seed": seed, "checkpoint": checkpoint, "part": part, "sampled": sampled}
    program, manifest = exportable(Path(run), **choices)
    return [written for path in paths for written in _write(path, program, manifest)]


def _write(path: Path, program: PolicyProgram, manifest: dict[str, Any]) -> list[Path]:
    """One file, all of it or nothing; and the reader of an archive."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    with disk_errors(f"{path} could not be written", "make room or choose another place"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            WRITERS[path.suffix](temporary, program, manifest)
            os.replace(temporary, path)
        except ExportError as error:
            raise ExportError(f"{path}: {error}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        if path.suffix != ".npz":
            return [path]
        return [path, Path(shutil.copyfile(reader.__file__, path.with_name(READER)))]


def exportable(
    run: Path, *, seed: int | None, checkpoint: str | None, part: str, sampled: bool
) -> tuple[PolicyProgram, dict[str, Any]]:
    """The program of a run's policy, and its manifest.

    Raises:
        ExportError: no format can hold it.
        RunError: as of `export_run`.
    """
    plan, record, algorithm, state, position = load_state(run, checkpoint=checkpoint)
    is_early = position["phase_index"] < len(algorithm.phases()) - 1
    if is_early or (checkpoint is None and status_of(run, record) != "finished"):
        done, planned = position["global_step"], sum(phase.steps for phase in algorithm.phases())
        told = Advice(f"{run}: this is its policy after {done:,} of {planned:,} updates.")
        warnings.warn(told, stacklevel=2)
    seed = plan.seeds[0] if seed is None else seed
    if seed not in plan.seeds:
        raise RunError(f"{run}: has no seed {seed}; it trained {list(plan.seeds)}.")
    one = jax.tree.map(lambda x: x[plan.seeds.index(seed)], state)
    dtype = np.float32 if record.get("pixels") is None else np.uint8
    seen = jax.ShapeDtypeStruct(observation_shape(record), dtype)
    try:
        choices = {"part": part, "sampled": sampled}
        program = policy_program(algorithm, one, seen, Units.of(record), **choices)
    except ExportError as error:
        raise ExportError(f"{run}: {error}.") from error
    where = {"seed": seed, "phase": position["phase"], "step": position["global_step"]}
    return program, make_manifest(program, record, run=run.resolve().name, **where, **choices)
