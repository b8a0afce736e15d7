"""Decoders in files: what a policy that any library exported answers to observation and noise.

With the inputs `observation` (raw, as in the data) and `noise`, and the action as only output:

    NAME.stablehlo   what `jax.export` serialized: compiled into the training loop
    NAME.onnx        run by ONNX Runtime, outside of the compiled loop: a call of it from every
                     update, which costs its time and the way there and back

(JAX evaluators of ONNX files exist, but the newest is of 2023.)  With a leading batch axis it is
called once for all rows; without, row by row.
"""

import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from shared.errors import ConfigError, SystemPackageError
from shared.models.foreign_units import manifest_of

INPUTS = ("observation", "noise")
Shape = tuple[int | None, ...]


class Foreign(NamedTuple):
    """What a file holds.

    Attributes:
        call: from (batch, observation) and (batch, noise) to (batch, action), within JAX.
        observation_size: numbers in an observation.
        latent_size: numbers in the noise.
        manifest: what the file says of itself; empty if nothing.
    """

    call: Callable
    observation_size: int
    latent_size: int
    manifest: dict[str, Any]


def with_digest(path: Path) -> str:
    """The source that names this very file."""
    return f"{path.resolve()}@{hashlib.sha256(_read(path)).hexdigest()[:16]}"


@functools.lru_cache(maxsize=8)
def load(source: str) -> Foreign:
    """What a file holds; errors as of `ForeignDecoder`."""
    name, _, digest = source.partition("@")
    content = _read(Path(name))
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(digest):
        raise ConfigError(
            f"{name}: is not the file that the run began with (SHA-256 {found[:16]}, not "
            f"{digest}); put that one back."
        )
    readers = {".onnx": _onnx, ".stablehlo": _stablehlo}
    if Path(name).suffix not in readers:
        raise ConfigError(f"{name}: a decoder is a file .onnx or .stablehlo.")
    return readers[Path(name).suffix](name, content)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a decoder.") from error


def _stablehlo(name: str, content: bytes) -> Foreign:
    from jax import export

    manifest = {}
    try:
        if content.startswith(b"PK"):  # `cnf export --part decoder`: an archive with a manifest
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content, manifest = archive.read("policy.exported"), archive.read("manifest.json")
            manifest = dict(json.loads(manifest))
        exported = export.deserialize(bytearray(content))
    except Exception as error:  # of flatbuffers and MLIR, of no common class
        raise ConfigError(f"{name}: is nothing that jax.export serialized; export it anew.") from (
            error
        )
    positional, named = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    found = dict(zip(INPUTS, positional, strict=False)) if len(positional) == 2 else dict(named)
    shapes = {key: _known(value.shape) for key, value in found.items()}
    observation, noise, batched = _inputs(name, shapes)

    def call(observations, noises):
        rows = [(observations, noises)[i] for i in (0, 1)]
        ask = exported.call if not named else lambda o, n: exported.call(observation=o, noise=n)
        one = jax.tree.leaves
        if batched:
            return one(ask(*rows))[0]
        lead = () if len(shapes["noise"]) == 1 else (1,)
        return jax.lax.map(
            lambda row: one(ask(*(x.reshape(*lead, -1) for x in row)))[0].reshape(-1), tuple(rows)
        )

    return Foreign(call, observation, noise, manifest)


def _onnx(name: str, content: bytes) -> Foreign:
    try:
        import onnxruntime
    except ImportError as error:
        raise SystemPackageError(
            f"{name}: needs ONNX Runtime; install it with pip install 'latent-policies[onnx]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options)
    except Exception as error:  # of a compiled library, of no common class
        raise ConfigError(f"{name}: ONNX Runtime cannot read it; export it anew.") from error
    shapes = {x.name: _known(x.shape) for x in session.get_inputs()}
    observation, noise, batched = _inputs(name, shapes)
    output = session.get_outputs()[0]

    def ask(observations, noises):
        rows = [np.asarray(x, np.float32) for x in (observations, noises)]
        if not batched:
            lead = () if len(shapes["noise"]) == 1 else (1,)
            each = (dict(zip(INPUTS, pair, strict=True)) for pair in zip(*rows, strict=True))
            answers = [
                np.ravel(session.run(None, {k: x.reshape(*lead, -1) for k, x in one.items()})[0])
                for one in each
            ]
            return np.stack(answers).astype(np.float32)
        return np.asarray(session.run(None, dict(zip(INPUTS, rows, strict=True)))[0], np.float32)

    shape = _known(output.shape)
    size = int(np.prod(shape[1:] if len(shapes["noise"]) > 1 else shape))

    def call(observations, noises):
        result = jax.ShapeDtypeStruct((observations.shape[0], size), jnp.float32)
        flat = lambda *rows: ask(*rows).reshape(-1, size)  # noqa: E731
        return jax.pure_callback(flat, result, observations, noises)

    about = manifest_of(session.get_modelmeta().custom_metadata_map, name)
    return Foreign(call, observation, noise, about)


def _known(shape) -> Shape:
    """Its fixed lengths; None where it may vary."""
    return tuple(n if isinstance(n, int) else None for n in shape)


def _inputs(name: str, shapes: dict[str, Shape]) -> tuple[int, int, bool]:
    """Sizes of observation and noise, and whether many rows go in at once."""
    if set(shapes) != set(INPUTS):
        raise ConfigError(
            f"{name}: its inputs are {', '.join(shapes) or 'without names'}; a decoder to be "
            "steered takes 'observation' and 'noise'."
        )
    observation, noise = (shapes[key] for key in INPUTS)
    one_row = len(observation) == len(noise) in (1, 2) and observation[-1] and noise[-1]
    if not one_row or (len(noise) == 2 and noise[0] not in (None, 1)):
        raise ConfigError(
            f"{name}: takes an observation of shape {observation} and noise of {noise}; it should "
            "be (batch, n) and (batch, m) with known n and m."
        )
    assert observation[-1] is not None and noise[-1] is not None
    return observation[-1], noise[-1], len(noise) == 2 and noise[0] is None
