"""Acts with a policy archive (.npz); needs NumPy alone.  Copy this file next to your policy.

policy = Policy("robot.npz")
policy.reset()                       # at the start of every episode
command = policy.act(observation)    # numbers as in the data, command in the robot's units
"""

import hashlib
import io
import json
import zipfile
import zlib

import numpy as np

OPS = {
    **{name: getattr(np, name) for name in "matmul exp log log1p expm1 tanh sqrt square".split()},
    **{name: getattr(np, name) for name in "abs sign floor reshape transpose isfinite".split()},
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power},
    **{"max": np.maximum, "min": np.minimum, "neg": np.negative, "rem": np.fmod},
    **{"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal},
    **{"gt": np.greater, "ge": np.greater_equal},
    **{"and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "atanh": np.arctanh},
    "logistic": lambda x: (1 + np.tanh(x / np.float32(2))) / np.float32(2),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select": lambda which, no, yes: np.where(which, yes, no),
    "clamp": lambda low, x, high: np.clip(x, low, high),
    "cast": lambda x, dtype: np.asarray(x).astype(dtype),
    "broadcast": lambda x, inner, shape: np.broadcast_to(np.reshape(x, inner), shape),
    "slice": lambda x, ends: x[tuple(slice(*e) for e in ends)],
    "concatenate": lambda *x: np.concatenate(x[:-1], axis=x[-1]),
    "argmax": lambda x, axis, dtype: np.argmax(x, axis).astype(dtype),
    "reduce_sum": lambda x, axes: np.sum(x, axis=tuple(axes)),
    "reduce_min": lambda x, axes: np.min(x, axis=tuple(axes)),
    "reduce_max": lambda x, axes: np.max(x, axis=tuple(axes)),
    "move": lambda *x: np.concatenate([np.ravel(part) for part in x[:-1]])[x[-1]],
    "rows": lambda x, i, shape: np.take(x, i[..., 0], axis=0, mode="clip").reshape(shape),
    "window": lambda x, *starts_sizes: x[
        tuple(
            slice(at := min(max(int(i), 0), n - size), at + size)
            for i, n, size in zip(starts_sizes[:-1], x.shape, starts_sizes[-1], strict=True)
        )
    ],
}


class Policy:
    """A policy with its memory; `manifest` says what it was trained on, sees and answers."""

    def __init__(self, path, seed=0):
        try:
            with zipfile.ZipFile(path) as file:
                parts = {name: file.read(name) for name in file.namelist()}
            self.manifest = json.loads(parts.pop("manifest.json"))
            digests = self.manifest["sha256"]
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError) as error:
            raise ValueError(f"{path}: is damaged, or no policy; export it again.") from error
        for name in {*digests, *parts}:
            if hashlib.sha256(parts.get(name, b"")).hexdigest() != digests.get(name):
                raise ValueError(f"{path}: {name} is not what its SHA-256 says; export it again.")
        program = json.loads(parts["program.json"])
        self.path, self.generator = path, np.random.default_rng(seed)
        self.ops = [(OPS[name], *rest) for name, *rest in program["ops"]]
        self.ends, self.results = program["inputs"], program["outputs"]
        self.values = [None] * program["values"]
        for name, number in program["constants"].items():
            self.values[number] = np.load(io.BytesIO(parts[name]), allow_pickle=False)
            if 0 < np.mean(np.isnan(self.values[number])) < 1:
                raise ValueError(f"{path}: {name} holds NaN; export a policy that did not diverge.")
        self.reset()

    def reset(self):
        """Forget the episode so far."""
        known = [x for x in self.manifest["inputs"] if "initial" in x]
        self.memory = [np.array(x["initial"], x["dtype"]).reshape(x["shape"]) for x in known]

    def step(self, inputs):
        """Outputs in order of inputs in order, both as in the manifest; remembers nothing."""
        values = self.values.copy()
        for number, array in zip(self.ends, inputs, strict=True):
            values[number] = array
        for function, arguments, result, more in self.ops:
            values[result] = function(*[values[i] for i in arguments], *more)
        return [values[number] for number in self.results]

    def act(self, observation, *, reward=0.0, noise=None):
        """The command for one observation; `noise` is a decoder's latent."""
        given, kept = (
            {"observation": observation, "reward": reward, "noise": noise},
            [*self.memory],
        )
        draws = {"normal": self.generator.standard_normal, "gumbel": self.generator.gumbel}
        inputs = []
        for x in self.manifest["inputs"]:
            if "initial" in x:
                inputs.append(kept.pop(0))
            elif "draw" in x:
                inputs.append(draws[x["draw"]](size=x["shape"]).astype(x["dtype"]))
            else:
                inputs.append(self.checked(x, given[x["name"]]))
        action, *memory = self.step(inputs)
        if not np.isfinite(action).all():
            raise ValueError(
                f"{self.path}: answers {action}; it diverged, or is far from its data."
            )
        self.memory = memory
        return action

    def checked(self, what, found):
        """An input of the right shape and type, without NaN or infinity."""
        array = np.asarray(found)
        if list(array.shape) != what["shape"] or array.dtype.kind not in "fiub":
            raise ValueError(
                f"{self.path}: sees {what['name']} as {what['dtype']} of shape {what['shape']}, "
                f"not {array.dtype} of shape {list(array.shape)}."
            )
        with np.errstate(over="ignore"):
            array = array.astype(what["dtype"])
        if not np.isfinite(array).all():
            raise ValueError(f"{self.path}: {what['name']} holds NaN or infinity; mend it.")
        return array
