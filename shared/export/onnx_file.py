"""A policy as ONNX, for onnxruntime and everything else that reads it.

Every operation of `shared/export/operations.py` becomes one or a few ONNX nodes.  The manifest
stands in the model's metadata, with a SHA-256 of the whole file in which the digits of that hash
are zeros.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import ExportError
from shared.export.container import digest
from shared.export.operations import Step, operations_of
from shared.export.program import PolicyProgram

OPSET, IR_VERSION = 17, 8
"""Of 2022: read by every onnxruntime since 1.12."""
ZEROS = "0" * 64
NODES = {
    **{"matmul": "MatMul", "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max"},
    **{"min": "Min", "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "exp": "Exp"},
    **{"log": "Log", "tanh": "Tanh", "atanh": "Atanh", "sqrt": "Sqrt", "logistic": "Sigmoid"},
    **{"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"},
    **{"and": "And", "or": "Or", "not": "Not"},
}
"""What is one node without attributes."""


def write_onnx(path: Path, program: PolicyProgram, manifest: dict[str, Any]) -> None:
    """Write the file.

    Raises:
        ExportError: onnx is not installed, or an operation has no ONNX form.
    """
    onnx = _package("onnx")
    graph, operations = program.graph, operations_of(program.graph)
    model = _Model(onnx, {i: str(shape.dtype) for i, shape in graph.shapes.items()})
    names = {number: name for name, number in graph.inputs.items()}
    model.names |= names
    for i, array in operations.constants.items():
        model.constant(f"v{i}", array)
    for step in operations.steps:
        model.add(step)
    for name, number in graph.outputs.items():
        model.node("Identity", [model.name(number)], name)
    ends = [
        [model.tensor(name, graph.shape_of(name)) for name in group]
        for group in (graph.inputs, graph.outputs)
    ]
    made = onnx.helper.make_model(
        onnx.helper.make_graph(model.nodes, "policy", *ends, model.initializers),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="latent-policies",
    )
    onnx.checker.check_model(made, full_check=True)
    onnx.helper.set_model_props(made, {"sha256": ZEROS, "manifest": json.dumps(manifest)})
    whole = made.SerializeToString()
    path.write_bytes(whole.replace(ZEROS.encode(), digest(whole).encode()))


class ONNX:
    """An ONNX policy; `step` maps inputs to outputs, both as in the manifest."""

    def __init__(self, path: Path):
        onnx, runtime = _package("onnx"), _package("onnxruntime")
        whole = path.read_bytes()
        try:
            model = onnx.load_from_string(whole)
            about = {x.key: x.value for x in model.metadata_props}
            self.manifest, sealed = json.loads(about["manifest"]), about["sha256"]
        except Exception as error:  # protobuf has an error type of its own in each of its forms
            raise ExportError(f"{path}: is damaged, or no policy file; export it again.") from error
        if digest(whole.replace(sealed.encode(), ZEROS.encode())) != sealed:
            raise ExportError(f"{path}: is not what its SHA-256 says; export it again.")
        options = runtime.SessionOptions()
        # One row is no work for several threads.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self._session = runtime.InferenceSession(whole, options, providers=providers)
        self._names = [x["name"] for x in self.manifest["inputs"]]

    def step(self, inputs: list[Any]) -> list[np.ndarray]:
        """Outputs of inputs, in the manifest's order."""
        arrays = map(np.asarray, inputs)  # a NumPy scalar is none to onnxruntime
        return self._session.run(None, dict(zip(self._names, arrays, strict=True)))


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"{name} is not installed; pip install 'latent-policies[onnx]', or choose another "
            "format: .stablehlo or .npz."
        ) from error


class _Model:
    """Nodes and constants of a growing ONNX graph."""

    def __init__(self, onnx: Any, dtypes: dict[int, str]):
        self.onnx, self.dtypes = onnx, dtypes
        self.nodes, self.initializers = [], []
        self.names: dict[int, str] = {}

    def name(self, number: int) -> str:
        return self.names.get(number, f"v{number}")

    def dtype(self, dtype: Any) -> int:
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def tensor(self, name: str, about: Any) -> Any:
        """How an input or output is declared."""
        dtype = self.dtype(about.dtype)
        return self.onnx.helper.make_tensor_value_info(name, dtype, about.shape)

    def constant(self, name: str, array: Any) -> str:
        self.initializers.append(self.onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def add(self, step: Step) -> None:
        """The nodes of one operation."""
        inputs, output = [self.name(i) for i in step.inputs], self.name(step.output)
        if step.name in NODES:
            self.node(NODES[step.name], inputs, output)
        else:
            translate = getattr(self, f"_{step.name}", None)
            if translate is None:
                raise ExportError(f"its policy needs '{step.name}', which has no ONNX form here")
            translate(step, inputs, output)

    def integers(self, output: str, numbers: Any) -> str:
        """A constant beside the value `output`."""
        return self.constant(f"{output}.{len(self.initializers)}", np.asarray(numbers, np.int64))

    def like(self, step: Step, number: float | int) -> str:
        """A constant of the type of an operation's result."""
        dtype = np.dtype(self.dtypes[step.inputs[0]])
        return self.constant(f"v{step.output}.{len(self.initializers)}", np.asarray(number, dtype))

    def _ne(self, step, inputs, output):
        self.node("Not", [self.node("Equal", inputs, f"{output}.same")], output)

    def _pow(self, step, inputs, output):
        self.node("Pow", [*inputs, self.like(step, step.more[0])] if step.more else inputs, output)

    def _rem(self, step, inputs, output):
        self.node("Mod", inputs, output, fmod=1)

    def _square(self, step, inputs, output):
        self.node("Mul", inputs * 2, output)

    def _rsqrt(self, step, inputs, output):
        self.node("Reciprocal", [self.node("Sqrt", inputs, f"{output}.root")], output)

    def _log1p(self, step, inputs, output):
        # Exact for small x, too: log(1 + x) · x / ((1 + x) - 1) would need a branch at zero.
        more = self.node("Add", [*inputs, self.like(step, 1)], f"{output}.more")
        self.node("Log", [more], output)

    def _expm1(self, step, inputs, output):
        power = self.node("Exp", inputs, f"{output}.power")
        self.node("Sub", [power, self.like(step, 1)], output)

    def _select(self, step, inputs, output):
        which, no, yes = inputs
        self.node("Where", [which, yes, no], output)

    def _clamp(self, step, inputs, output):
        low, x, high = inputs
        self.node("Min", [self.node("Max", [x, low], f"{output}.low"), high], output)

    def _cast(self, step, inputs, output):
        self.node("Cast", inputs, output, to=self.dtype(step.more[0]))

    def _reshape(self, step, inputs, output):
        self.node("Reshape", [*inputs, self.integers(output, step.more[0])], output)

    def _transpose(self, step, inputs, output):
        self.node("Transpose", inputs, output, perm=step.more[0])

    def _broadcast(self, step, inputs, output):
        inner, shape = step.more
        flat = self.node("Reshape", [*inputs, self.integers(output, inner)], f"{output}.inner")
        self.node("Expand", [flat, self.integers(output, shape)], output)

    def _slice(self, step, inputs, output):
        starts, ends, steps = zip(*step.more[0], strict=True)
        axes = range(len(starts))
        more = [self.integers(output, x) for x in (starts, ends, axes, steps)]
        self.node("Slice", [*inputs, *more], output)

    def _concatenate(self, step, inputs, output):
        self.node("Concat", inputs, output, axis=step.more[0])

    def _argmax(self, step, inputs, output):
        axis, dtype = step.more
        found = self.node("ArgMax", inputs, f"{output}.at", axis=axis, keepdims=0)
        self.node("Cast", [found], output, to=self.dtype(dtype))

    def _reduce_sum(self, step, inputs, output):
        axes = self.integers(output, step.more[0])
        self.node("ReduceSum", [*inputs, axes], output, keepdims=0)

    def _reduce_max(self, step, inputs, output):
        self.node("ReduceMax", inputs, output, axes=step.more[0], keepdims=0)

    def _reduce_min(self, step, inputs, output):
        self.node("ReduceMin", inputs, output, axes=step.more[0], keepdims=0)

    def _move(self, step, inputs, output):
        *parts, index = inputs
        whole = self.integers(output, [-1])
        flat = [
            self.node("Reshape", [part, whole], f"{output}.part{i}") for i, part in enumerate(parts)
        ]
        joined = self.node("Concat", flat, f"{output}.joined", axis=0)
        self.node("Gather", [joined, index], output, axis=0)

    def _rows(self, step, inputs, output):
        rows, index = inputs
        first = self.node("Gather", [index, self.integers(output, 0)], f"{output}.first", axis=-1)
        taken = self.node("Gather", [rows, first], f"{output}.taken", axis=0)
        self.node("Reshape", [taken, self.integers(output, step.more[0])], output)

    def _window(self, step, inputs, output):
        rows, *starts = inputs
        one = self.integers(output, [1])
        flat = [self.node("Reshape", [x, one], f"{output}.i{i}") for i, x in enumerate(starts)]
        start = self.node("Concat", flat, f"{output}.start", axis=0)
        start = self.node("Cast", [start], f"{output}.wide", to=self.dtype(np.int64))
        size = self.integers(output, step.more[0])
        shape = self.node("Shape", [rows], f"{output}.shape")
        last = self.node("Sub", [shape, size], f"{output}.last")  # JAX holds windows inside
        start = self.node("Max", [start, self.integers(output, [0])], f"{output}.above")
        start = self.node("Min", [start, last], f"{output}.within")
        end = self.node("Add", [start, size], f"{output}.end")
        self.node("Slice", [rows, start, end, self.integers(output, range(len(starts)))], output)
