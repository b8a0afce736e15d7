"""A JAX function taken apart into the operations of a `Graph`.

    function → jaxpr → calls inlined, scans unrolled → what no output needs is dropped
             → what no input reaches is computed once

Random draws become inputs (`noise0`, ...): a file that draws would have to bring JAX's generator
along.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from shared.errors import ExportError
from shared.export.graph import Graph, Op, folded, pruned

CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters that hold the body of a call: of jit, custom derivatives, checkpoints."""
DRAWS = {"_normal": "normal", "_gumbel": "gumbel"}
"""Compiled functions of `jax.random` that draw from a standard distribution."""
LARGEST = 20_000
"""Operations of a graph at most: beyond that a scan should not have been unrolled."""


def graph_of(
    function: Callable, inputs: dict[str, jax.ShapeDtypeStruct], outputs: tuple[str, ...]
) -> Graph:
    """The graph of `function(*inputs)`, which returns a flat tuple, one array an output.

    An input named `key` is a random key; it is replaced by the noise that is drawn with it.

    Raises:
        ExportError: the function has a loop of unknown length, a branch, or an unknown draw.
    """
    closed = jax.make_jaxpr(function)(*inputs.values())
    flat = _Inliner()
    numbers = {name: flat.new(shape) for name, shape in inputs.items()}
    key = numbers.pop("key", None)
    if key is not None:
        flat.random.add(key)
    arguments = [key if name == "key" else numbers[name] for name in inputs]
    results = flat.inline(closed.jaxpr, [flat.constant(x) for x in closed.consts], arguments)
    graph = Graph(
        numbers | flat.noise,
        dict(zip(outputs, results, strict=True)),
        flat.constants,
        flat.ops,
        flat.shapes,
        flat.distributions,
    )
    graph = folded(pruned(graph))
    if key in {i for op in graph.ops for i in op.inputs}:
        raise ExportError("its policy draws from a distribution that no file can name")
    return graph


class _Inliner:
    """Writes a jaxpr down as operations, calls and scans included."""

    def __init__(self):
        self.constants: dict[int, Any] = {}
        self.shapes: dict[int, jax.ShapeDtypeStruct] = {}
        self.same: dict[int, int] = {}
        self.alive: list[Any] = []  # an identity is of an array that still exists
        self.ops: list[Op] = []
        self.done: dict[tuple, list[int]] = {}
        self.random: set[int] = set()
        self.noise: dict[str, int] = {}
        self.distributions: dict[str, str] = {}

    def new(self, shape: Any) -> int:
        """A number for a value of this shape and dtype."""
        number = len(self.shapes)
        self.shapes[number] = jax.ShapeDtypeStruct(shape.shape, shape.dtype)
        return number

    def constant(self, array: Any) -> int:
        """The number of a constant; the same array has one."""
        known = self.same.get(id(array))
        if known is None:
            known = self.new(jnp.asarray(array))
            self.constants[known] = jnp.asarray(array)
            self.same[id(array)], self.alive = known, [*self.alive, array]
        return known

    def apply(self, primitive: Any, inputs: list[int], shapes: list[Any], **params: Any):
        """One more operation; the numbers of its results."""
        text = (primitive.name, tuple(inputs), repr(sorted(params.items(), key=lambda x: x[0])))
        if text in self.done:  # a decoder of ten steps would transpose its weights ten times
            return self.done[text]
        outputs = self.done[text] = [self.new(shape) for shape in shapes]
        self.ops.append(Op(primitive, params, tuple(inputs), tuple(outputs)))
        if len(self.ops) > LARGEST:
            raise ExportError(f"its policy takes more than {LARGEST:,} operations")
        if self.random.intersection(inputs):
            self.random.update(outputs)
        return outputs

    def call(self, function: Callable, inputs: list[int]) -> list[int]:
        """The operations of a function of these values."""
        closed = jax.make_jaxpr(function)(*(self.shapes[i] for i in inputs))
        return self.inline(closed.jaxpr, [self.constant(x) for x in closed.consts], inputs)

    def inline(self, jaxpr: core.Jaxpr, consts: list[int], inputs: list[int]) -> list[int]:
        """Numbers of the results of a jaxpr."""
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

        def read(atom):
            return self.constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

        for equation in jaxpr.eqns:
            results = self.equation(equation, [read(x) for x in equation.invars])
            known.update(zip(equation.outvars, results, strict=True))
        return [read(x) for x in jaxpr.outvars]

    def equation(self, equation: Any, inputs: list[int]) -> list[int]:
        """Numbers of the results of one equation."""
        name, params = equation.primitive.name, equation.params
        if params.get("name") in DRAWS and self.random.intersection(inputs):
            return [self.draw(DRAWS[params["name"]], equation.outvars[0].aval)]
        if name == "scan":
            return self.scan(params, inputs)
        if name in ("while", "cond"):
            raise ExportError(f"its policy has a '{name}' whose course depends on what it sees")
        if name == "product_of_rows":  # shared/models/products.py
            return self.call(lambda x, forward, _: x @ forward, inputs)
        if name == "split":  # one slice after the other: not every format has it
            sizes, axis = [*map(int, params["sizes"])], params["axis"]
            return self.call(partial(_split, sizes=sizes, axis=axis), inputs)
        if name == "stack":
            return self.call(partial(_stack, **params), inputs)
        if name == "dot_general" and not _is_matmul(params["dimension_numbers"], equation.invars):
            return self.call(partial(_product, dims=params["dimension_numbers"]), inputs)
        if name in ("stop_gradient", "copy", "copy_p"):
            return inputs
        body = next((params[x] for x in CALLS if x in params), None)
        if body is None:
            avals = [x.aval for x in equation.outvars]
            return self.apply(equation.primitive, inputs, avals, **params)
        if isinstance(body, core.ClosedJaxpr):
            return self.inline(body.jaxpr, [self.constant(x) for x in body.consts], inputs)
        return self.inline(body, [], inputs)

    def draw(self, distribution: str, shape: Any) -> int:
        """An input in the place of a random draw."""
        name, number = f"noise{len(self.noise)}", self.new(shape)
        self.noise[name], self.distributions[name] = number, distribution
        return number

    def scan(self, params: Any, inputs: list[int]) -> list[int]:
        """Its steps, one after the other."""
        fixed, carried = params["num_consts"], params["num_carry"]
        body, length = params["jaxpr"], params["length"]
        consts, carry, rows = inputs[:fixed], inputs[fixed : fixed + carried], inputs
        rows, outputs = inputs[fixed + carried :], [[] for _ in body.jaxpr.outvars[carried:]]
        steps = range(length)
        for i in reversed(steps) if params["reverse"] else steps:
            row = [self.call(partial(_row, i=i), [x])[0] for x in rows]
            own = [self.constant(x) for x in body.consts]
            results = self.inline(body.jaxpr, own, [*consts, *carry, *row])
            carry = results[:carried]
            for stack, x in zip(outputs, results[carried:], strict=True):
                stack.append(x)
        if params["reverse"]:
            outputs = [stack[::-1] for stack in outputs]
        return [*carry, *(self.call(_stack, stack)[0] for stack in outputs)]


def _split(x: Any, *, sizes: list[int], axis: int) -> list[Any]:
    ends = np.cumsum(sizes)
    return [jax.lax.slice_in_dim(x, e - n, e, axis=axis) for n, e in zip(sizes, ends, strict=True)]


def _stack(*rows: Any, axis: int = 0) -> Any:
    return jax.lax.concatenate([jax.lax.expand_dims(x, (axis,)) for x in rows], axis)


def _row(x: Any, *, i: int) -> Any:
    return jax.lax.squeeze(jax.lax.slice_in_dim(x, i, i + 1, axis=0), (0,))


def _is_matmul(dims: Any, operands: Any) -> bool:
    """Is it a product as `np.matmul` means it?"""
    ((left, right), (left_batch, right_batch)) = dims
    x, y = (operand.aval.ndim for operand in operands)
    batch = tuple(range(x - 2)) if x > 2 and y > 2 else ()
    inner = (x - 1,), (max(y - 2, 0),)
    few = batch or x <= 2 and y <= 2
    found = (tuple(left), tuple(right)), (tuple(left_batch), tuple(right_batch))
    return bool(few) and found == (inner, (batch, batch))


def _product(x: Any, y: Any, *, dims: Any) -> Any:
    """Any product of arrays by transposes, one `np.matmul` and a reshape."""
    ((left, right), (left_batch, right_batch)) = dims
    free = [i for i in range(x.ndim) if i not in (*left, *left_batch)]
    others = [i for i in range(y.ndim) if i not in (*right, *right_batch)]
    shape = [x.shape[i] for i in (*left_batch, *free)] + [y.shape[i] for i in others]
    inner = math.prod(x.shape[i] for i in left)
    batch = [math.prod(x.shape[i] for i in left_batch)] if left_batch else []
    x = jnp.transpose(x, (*left_batch, *free, *left))
    y = jnp.transpose(y, (*right_batch, *right, *others))
    x = x.reshape(*batch, *([-1] if free or batch else []), inner)
    y = y.reshape(*batch, inner, *([-1] if others or batch else []))
    return jnp.matmul(x, y).reshape(shape)
