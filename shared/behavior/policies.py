"""Behaviour policies as plain NumPy: one observation in, one action out.

A collected data set must be the same bits every time and, as far as policies decide it, on
every machine, so they depend on no compiler, no device and no BLAS: a few matrix-vector products in
float32, added up in a fixed order, at about 40 µs a step.  `weights/<environment>.npz`
holds, for one training,

    <policy>/weight0, <policy>/bias0, ...   float16, (out, in) and (out,)
    record                                  JSON: command, seed, versions, and for every
                                            policy its environment steps and returns

where `<policy>` is `expert`, `medium`, or `step-<environment steps>` for the
snapshots on the way.  Every recorded return was measured *after* the rounding
to float16.  `random` draws uniform actions and has no weights.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.behavior.simulator import environment_id
from shared.errors import DataError

LOG_STD_LOW, LOG_STD_HIGH = -5.0, 2.0
WEIGHTS = Path(__file__).parent / "weights"

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]


def forward(layers: Layers, observation: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
    """The tanh-Gaussian actor of `sac.TanhGaussianActor`, without a compiler.

    Arguments:
        layers: weights (out, in) and biases (out,), float32.
        observation: float32, (observation,) or (batch, observation).
        noise: standard normal float32 of the action's shape; None for the
            deterministic action tanh(mean).
    """
    x = observation
    for weight, bias in layers[:-1]:
        x = np.maximum(_times(x, weight) + bias, 0)
    weight, bias = layers[-1]
    u = _times(x, weight) + bias
    size = u.shape[-1] // 2
    mean = u[..., :size]
    if noise is None:
        return np.tanh(mean)
    log_std = LOG_STD_LOW + 0.5 * (LOG_STD_HIGH - LOG_STD_LOW) * (np.tanh(u[..., size:]) + 1)
    return np.tanh(mean + np.exp(log_std) * noise)


def _times(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The product of one observation or, by BLAS, of a batch with weights (out, in)."""
    if x.ndim > 1:
        return x @ weight.T
    # Row after row: BLAS adds in an order that depends on its version and on the processor, and
    # a robot that touches the ground soon makes another episode of the last digit.
    return np.add.reduce(np.multiply(weight.T, x[:, None], order="C"), axis=0)


@dataclass(frozen=True)
class BehaviorPolicy:
    """One behaviour policy; `layers` is empty for uniform random actions.

    `returns` holds what the weights' record says of it: mean and standard
    deviation of deterministic and of sampled returns.
    """

    environment: str
    quality: str
    layers: Layers
    environment_steps: int
    returns: dict

    def draw_noise(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """The randomness of `shape[0]` actions, float32: normal, or the actions themselves."""
        if not self.layers:
            return generator.uniform(-1, 1, shape).astype(np.float32)
        return generator.standard_normal(shape, np.float32)

    def act(self, observation: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """A float32 action in [-1, 1] from one float32 observation.

        `noise` is one row of `draw_noise`; None gives the deterministic action.
        """
        if self.layers:
            return forward(self.layers, observation, noise)
        if noise is None:
            raise ValueError("the random policy has no deterministic action")
        return noise


def weights_path(environment: str, own: Path | None = None) -> Path:
    """Where the weights of an environment are stored: in `own`, or in this package."""
    environment_id(environment)
    return own or WEIGHTS / weights_name(environment)


def weights_name(environment: str) -> str:
    """The name of its weight file."""
    return f"{environment.replace('/', '-').replace(':', '-')}.npz"


def weights_sha256(environment: str, own: Path | None = None) -> str:
    """SHA-256 of the weight file, in hexadecimal."""
    return hashlib.sha256(_existing(environment, own).read_bytes()).hexdigest()


def load_record(environment: str, own: Path | None = None) -> dict:
    """The JSON record of a weight file: `command`, `seed`, `versions`, `policies`."""
    path = _existing(environment, own)
    try:
        with np.load(path, allow_pickle=False) as file:
            record = json.loads(str(file["record"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is no file of behaviour weights ({error}); {_TRAIN}.") from error
    if record.get("environment") != environment:
        raise DataError(
            f"{path}: holds policies of '{record.get('environment')}', not of '{environment}'; "
            "name the right file with --behavior."
        )
    return record


def load_behavior(environment: str, quality: str, own: Path | None = None) -> BehaviorPolicy:
    """A behaviour policy: `random`, `medium`, `expert` or a training snapshot.

    Arguments:
        environment: of the simulator.
        quality: name of the policy.
        own: a weight file of one's own; None is this package's.

    Raises:
        DataError: the environment, the weights or the policy do not exist.
    """
    environment_id(environment)
    if quality == "random":
        return BehaviorPolicy(environment, quality, (), 0, {})
    policies = load_record(environment, own)["policies"]
    if quality not in policies:
        raise DataError(
            f"No behaviour policy '{quality}' for {environment}; "
            f"{weights_path(environment, own)} holds {', '.join(policies)}."
        )
    info = policies[quality]
    with np.load(weights_path(environment, own), allow_pickle=False) as file:
        count = sum(name.startswith(f"{quality}/weight") for name in file.files)
        layers = tuple(
            (
                np.asfortranarray(file[f"{quality}/weight{i}"], np.float32),  # faster in _times
                file[f"{quality}/bias{i}"].astype(np.float32),
            )
            for i in range(count)
        )
    return BehaviorPolicy(environment, quality, layers, info["environment_steps"], info["returns"])


def training_snapshots(environment: str, until: str, own: Path | None = None) -> tuple[str, ...]:
    """Names of the snapshots in training order, up to and including policy `until`."""
    policies = load_record(environment, own)["policies"]
    last = policies[until]["environment_steps"]
    earlier = [name for name in policies if policies[name]["environment_steps"] < last]
    return (
        *sorted(earlier, key=lambda name: policies[name]["environment_steps"]),
        until,
    )


_TRAIN = "train them with 'cnf data train-behavior TASK --out DIR'"


def _existing(environment: str, own: Path | None) -> Path:
    path = weights_path(environment, own)
    if not path.exists():
        raise DataError(
            f"The behaviour weights {path} are missing; name a file with --behavior, or {_TRAIN}."
        )
    return path
