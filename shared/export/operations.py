"""The operations that a policy file may hold, by name: what the NumPy reader and ONNX know.

Whatever only moves numbers about in a way that is known in advance (pads, rolls, scatters) is one
operation, `move`: an index into all its inputs, which is found by moving indices instead.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.lax import GatherScatterMode

from shared.errors import ExportError
from shared.export.graph import Graph, Op, run
from shared.storage.durable import plain

SAME = {
    *("add", "sub", "mul", "div", "max", "min", "neg", "abs", "sign", "floor", "rem", "pow"),
    *("exp", "log", "log1p", "expm1", "tanh", "atanh", "sqrt", "rsqrt", "square", "logistic"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"),
}
"""Elementwise operations, named alike in JAX."""
MOVES = {"pad", "rev", "gather", "scatter", "dynamic_slice", "dynamic_update_slice"}


class Step(NamedTuple):
    """One operation of `shared/export/reader.py`: inputs and output are numbers of values."""

    name: str
    inputs: list[int]
    output: int
    more: list[Any]


class Operations(NamedTuple):
    """A graph in these operations; `count` values, some of them constants."""

    steps: list[Step]
    constants: dict[int, np.ndarray]
    count: int


def operations_of(graph: Graph) -> Operations:
    """The graph in operations that every format knows.

    Raises:
        ExportError: there is none for one of the graph's.
    """
    writer = _Writer(graph)
    for op in graph.ops:
        writer.add(op)
    used = {i for step in writer.ops for i in step.inputs} | set(graph.outputs.values())
    constants = {i: x for i, x in sorted(writer.constants.items()) if i in used}
    return Operations(writer.ops, constants, writer.count)


class _Writer:
    """Translates operations; constants that a translation needs are added to the graph's."""

    def __init__(self, graph: Graph):
        self.shapes, self.constants = graph.shapes, dict(graph.constants)
        self.count, self.ops = len(graph.shapes), []

    def add(self, op: Op) -> None:
        name, inputs = op.primitive.name, [*op.inputs]
        found = self.translated(name, op, inputs) if len(op.outputs) == 1 else None
        if found is None:
            raise ExportError(f"its policy needs '{name}', which policy files do not know")
        self.ops.append(Step(*plain([found[0], found[1], op.outputs[0], found[2:]])))

    def translated(self, name: str, op: Op, inputs: list[int]) -> tuple | None:
        """Name, inputs and further arguments of an operation of the reader."""
        params, out = op.params, self.shapes[op.outputs[0]]
        if name in SAME:
            return name, inputs
        if name == "dot_general":
            return "matmul", inputs
        if name == "integer_pow":
            return "pow", inputs, params["y"]
        if name == "select_n" and len(inputs) == 3:
            return "select", inputs
        if name == "clamp":
            return "clamp", inputs
        if name == "convert_element_type":
            return "cast", inputs, np.dtype(params["new_dtype"]).name
        if name in ("reshape", "squeeze", "expand_dims"):
            return "reshape", inputs, [*out.shape]
        if name == "transpose":
            return "transpose", inputs, [*params["permutation"]]
        if name == "broadcast_in_dim":
            inner = [1] * len(out.shape)
            for axis, size in zip(
                params["broadcast_dimensions"], self.shapes[inputs[0]].shape, strict=True
            ):
                inner[axis] = size
            return "broadcast", inputs[:1], inner, [*out.shape]
        if name == "slice":
            steps = params["strides"] or [1] * len(params["start_indices"])
            ends = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
            return "slice", inputs, [[*end] for end in ends]
        if name == "concatenate":
            return "concatenate", inputs, params["dimension"]
        if name == "argmax":
            return "argmax", inputs, params["axes"][0], np.dtype(params["index_dtype"]).name
        if name in ("reduce_sum", "reduce_max", "reduce_min"):
            return name, inputs, [*params["axes"]]
        return self.moved(name, op, inputs) if name in MOVES else None

    def moved(self, name: str, op: Op, inputs: list[int]) -> tuple | None:
        """By an index that is known, or along the first axis by one that is not."""
        if name == "dynamic_slice" and inputs[1:] and not self.constants.keys() >= {*inputs[1:]}:
            return "window", inputs, [*op.params["slice_sizes"]]
        if name == "gather" and inputs[1] not in self.constants:
            if not _takes_rows(op.params, self.shapes[inputs[0]]):
                return None
            return "rows", inputs, [*self.shapes[op.outputs[0]].shape]
        where = {"gather": [1], "scatter": [1]}.get(name, [])
        if name.startswith("dynamic"):
            where = [*range(1 if name == "dynamic_slice" else 2, len(inputs))]
        if not self.constants.keys() >= {inputs[i] for i in where}:
            return None
        moving = [i for i in range(len(inputs)) if i not in where]
        index = _index(op, moving, [self.shapes[i] for i in inputs], self.constants)
        number, self.count = self.count, self.count + 1
        self.constants[number] = index
        return "move", [inputs[i] for i in moving] + [number]


def _index(op: Op, moving: list[int], shapes: list[Any], constants: dict[int, Any]) -> np.ndarray:
    """Where each number of the result comes from, in all moving inputs one behind the other."""
    starts = np.cumsum([0] + [math.prod(shapes[i].shape) for i in moving])
    values: dict[int, Any] = {i: jnp.asarray(constants[i]) for i in op.inputs if i in constants}
    for start, position in zip(starts, moving, strict=False):
        shape = shapes[position].shape
        places = np.arange(start, start + math.prod(shape), dtype=np.float32)
        values[op.inputs[position]] = jnp.asarray(places.reshape(shape))
    run([op], values)
    return np.asarray(values[op.outputs[0]]).astype(np.int32)


def _takes_rows(params: Any, operand: Any) -> bool:
    """Is it `operand[index]` along the first axis, with indices held inside?"""
    dims, sizes = params["dimension_numbers"], tuple(params["slice_sizes"])
    return (
        sizes == (1, *operand.shape[1:])
        and dims.start_index_map[0] == 0
        and not dims.operand_batching_dims
        and params["mode"] in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS)
    )
