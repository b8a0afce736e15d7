"""A function as a short list of JAX's operations, without any control flow.

Every format is written from the same graph, so all hold the same policy.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class Op(NamedTuple):
    """One primitive operation; inputs and outputs are numbers of values."""

    primitive: Any
    params: Mapping[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Graph(NamedTuple):
    """A function without any control flow.

    Attributes:
        inputs: name -> number of its value.
        outputs: name -> number of its value.
        constants: number -> array.
        ops: in the order of computing.
        shapes: number -> shape and dtype, of every value.
        noise: name of an input -> the distribution that it must be drawn from.
    """

    inputs: dict[str, int]
    outputs: dict[str, int]
    constants: dict[int, Any]
    ops: list[Op]
    shapes: dict[int, jax.ShapeDtypeStruct]
    noise: dict[str, str]

    def __call__(self, *arrays: Any) -> list[Any]:
        """Outputs in order; JAX can trace it."""
        values = dict(self.constants) | dict(zip(self.inputs.values(), arrays, strict=True))
        run(self.ops, values)
        return [values[number] for number in self.outputs.values()]

    def shape_of(self, name: str) -> jax.ShapeDtypeStruct:
        """Shape and dtype of an input or output."""
        return self.shapes[(self.inputs | self.outputs)[name]]


def run(ops: Iterable[Op], values: dict[int, Any]) -> None:
    """Carry out operations; their results are added to `values`."""
    for op in ops:
        found = op.primitive.bind(*(values[i] for i in op.inputs), **op.params)
        found = found if op.primitive.multiple_results else [found]
        values.update(zip(op.outputs, found, strict=True))


def pruned(graph: Graph) -> Graph:
    """Without what no output needs."""
    needed, kept = set(graph.outputs.values()), []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            needed.update(op.inputs)
            kept.append(op)
    constants = {i: x for i, x in graph.constants.items() if i in needed}
    return graph._replace(ops=kept[::-1], constants=constants)


def folded(graph: Graph) -> Graph:
    """With everything that no input reaches computed once: inverses, transposes, fixed noise."""
    known, fixed, left = set(graph.constants), [], []
    for op in graph.ops:
        if known.issuperset(op.inputs):
            known.update(op.outputs)
            fixed.append(op)
        else:
            left.append(op)
    needed = known & ({i for op in left for i in op.inputs} | set(graph.outputs.values()))
    computed = sorted(needed - set(graph.constants))

    def compute(constants):
        values = dict(constants)
        run(fixed, values)
        return {number: values[number] for number in computed}

    found = jax.jit(compute)(graph.constants) if computed else {}
    constants = {i: np.asarray(x) for i, x in (graph.constants | found).items() if i in needed}
    return graph._replace(ops=left, constants=constants)
