"""Policy files as policies again: the same checks and the same interface as `load_policy`."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from shared.environments.units import Units
from shared.errors import ExportError, NonFiniteError, ObservationError
from shared.export.numpy_archive import NumPyArchive
from shared.export.onnx_file import ONNX
from shared.export.stablehlo import StableHLO
from shared.loading.fetch_release import fetch_release
from shared.runs import trained
from shared.runs.policy import AbstractActing, Policy

READERS = {".stablehlo": StableHLO, ".onnx": ONNX, ".npz": NumPyArchive}


def load_policy(
    path: str | Path,
    *,
    seed: int | None = None,
    deterministic: bool = True,
    checkpoint: str | None = None,
    releases: str | Path | None = None,
) -> Policy:
    """The policy of a run's last checkpoint, of an exported file, or of a release.

    Arguments:
        path: run folder, a file that ends in .stablehlo, .onnx or .npz, or "name@release".
        seed: which of the run's seeds (default: the first).
        deterministic: the policy's mode; False samples.
        checkpoint: name of another checkpoint in the folder.
        releases: folder or web address of releases (default: `LATENT_POLICIES_RELEASES`).

    Raises:
        RunError: no run folder, a damaged checkpoint, or an unknown seed.
        ExportError: a damaged policy file, or a choice that it does not have.
        DataError: no such release, or one that is out of reach.
    """
    name, at, release = str(path).rpartition("@")
    is_file = Path(path).suffix in READERS and not Path(path).is_dir()
    if Path(path).exists() or not at:
        if not is_file:
            choices = {"deterministic": deterministic, "checkpoint": checkpoint}
            return trained.load_policy(path, seed=seed, **choices)
    else:
        path = fetch_release(name, release, releases=releases)
    if seed is not None or checkpoint is not None or not deterministic:
        raise ExportError(f"{path}: holds one policy; leave out seed, checkpoint, deterministic.")
    return load_exported(path)


def load_exported(path: str | Path, *, seed: int = 0) -> Policy:
    """The policy of a file that `export` wrote; its `record` is the file's manifest.

    Arguments:
        path: ends in .stablehlo, .onnx or .npz.
        seed: of the draws of a policy that samples.

    Raises:
        ExportError: another ending, a damaged file, a decoder, or a package that is missing.
    """
    program, about = _read(Path(path), "policy")
    acting = FromFile(program)
    shape, is_frame = tuple(about["shape"]), about["dtype"] == "uint8"
    return Policy(acting, program.manifest, shape=shape, is_frame=is_frame, seed=seed)


def load_decoder(path: str | Path) -> "Decoder":
    """The decoder of a file that `export --part decoder` wrote.

    Raises:
        ExportError: as of `load_exported`, or a policy.
    """
    return Decoder(_read(Path(path), "decoder")[0])


def _read(path: Path, part: str) -> tuple[Any, dict[str, Any]]:
    """The program of a file, and what its manifest says of observations."""
    reader = READERS.get(path.suffix)
    if reader is None:
        raise ExportError(f"{path}: a policy file ends in {', '.join(READERS)}; check the name.")
    if not path.is_file():
        raise ExportError(f"{path}: there is no such file; check the path.")
    program = reader(path)
    if (found := program.manifest.get("part")) != part:
        other = {"policy": "load_exported", "decoder": "load_decoder"}.get(str(found), "no reader")
        raise ExportError(f"{path}: is a {found}, not a {part}; {other} takes it.")
    return program, program.manifest["inputs"][0]


class FromFile(AbstractActing):
    """A policy file as `AbstractActing`; a memory is the last reward, then arrays."""

    def __init__(self, program: Any):
        about = program.manifest
        self._step, self._inputs = program.step, about["inputs"]
        offset = about["observation_offset"]
        # The file undoes both itself; but that `Policy` tests what is near, far from zero or not.
        self.units = Units(None, None if offset is None else np.asarray(offset, np.float64))
        self.samples = any("draw" in x for x in self._inputs)

    def initial(self):
        """See `AbstractActing`."""
        known = [x for x in self._inputs if "initial" in x]
        arrays = [np.array(x["initial"], x["dtype"]).reshape(x["shape"]) for x in known]
        return np.float32(0.0), arrays

    def rewarded(self, memory, reward):
        """See `AbstractActing`; the file itself knows whether the episode has begun."""
        return np.float32(reward), memory[1]

    def act(self, memory, observation, key):
        """See `AbstractActing`."""
        reward, arrays = memory
        if self.units.observation_offset is not None:
            observation = np.float64(observation) + self.units.observation_offset
        given = {"observation": observation, "reward": np.float32(reward)}
        kept, generator = iter(arrays), None
        if key is not None:
            generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        inputs = []
        for x in self._inputs:
            if "initial" in x:
                inputs.append(next(kept))
            elif "draw" in x:
                inputs.append(drawn(x, generator))
            else:
                inputs.append(given[x["name"]])
        action, *after = self._step(inputs)
        return action, (np.float32(0.0), after)

    def rewarded_rows(self, memory, rewards, first):
        """See `AbstractActing`."""
        return np.where(first, np.float32(0.0), rewards).astype(np.float32), memory[1]

    def act_rows(self, memory, observations, keys):
        """One row after the other: a file holds the program of one."""
        rewards, arrays = memory
        found = []
        for i, observation in enumerate(observations):
            own = rewards[i], [np.asarray(x[i]) for x in arrays]
            found.append(self.act(own, observation, None if keys is None else keys[i]))
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *found)
        return stacked[0], stacked[1]


class Decoder:
    """A decoder of latent actions with its memory.

    Attributes:
        manifest: what it was trained on, and what it sees.
    """

    def __init__(self, program: Any):
        self.manifest, self._acting, self._step = program.manifest, FromFile(program), program.step
        self.reset()

    def reset(self) -> None:
        """Forget the episode so far."""
        self._memory = self._acting.initial()[1]

    def decode(self, observation: Any, latent: Any) -> np.ndarray:
        """The command of a latent at one observation, both in the manifest's shapes.

        Raises:
            ObservationError: another shape.
            NonFiniteError: the command is not finite.
        """
        given = []
        for about, x in zip(self.manifest["inputs"][:2], (observation, latent), strict=True):
            x = np.asarray(x)
            if list(x.shape) != about["shape"]:
                raise ObservationError(
                    f"the {about['name']} has the shape {x.shape}, but this decoder takes "
                    f"{tuple(about['shape'])}."
                )
            given.append(x.astype(about["dtype"]))
        action, *memory = self._step([*given, *self._memory])
        if not np.isfinite(action).all():
            raise NonFiniteError(f"the decoder answers {action.tolist()} to a finite latent.")
        self._memory = memory
        return action


def drawn(about: dict[str, Any], generator: Any) -> np.ndarray:
    """Numbers from the distribution that a manifest names."""
    draw = {"normal": generator.standard_normal, "gumbel": generator.gumbel}[about["draw"]]
    return draw(size=about["shape"]).astype(about["dtype"])
