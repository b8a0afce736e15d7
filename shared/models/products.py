"""Products of rows and a layer's weight, in the forms that XLA multiplies fastest on a CPU.

A weight's gradient is a product of transposed cotangents.  XLA's CPU backend reads those
column by column, which takes a third longer than writing out the transpose before (ten
times as long for the few inputs of a first layer): so it is written out.

Processors with bfloat16 units multiply such operands two to three times faster than
float32 ones, but XLA uses them on a CPU only for plain two-dimensional products of row-major
operands with float32 results.  So every product is brought into that form: the rows of all
batch axes are one operand, members of an ensemble and seeds are products of their own.  A
GPU multiplies batches of either form, so there they stay one product.

`matmul_precision` of a run becomes JAX's `jax_default_matmul_precision`, which alone does not
mean the same everywhere (JAX's documentation, "Matmul precision"):

    default    float32 products as the device likes them: exact on a CPU, from operands rounded
               to TF32 (10 bits of mantissa) on an NVIDIA GPU since Ampere
    bfloat16   operands of hidden layers in bfloat16 on every device, by this file; to JAX it
               is another word for `default`, which holds for all other products
    float32    all products from full float32 operands on every device

Parameters, sums, biases, and the first and last layers stay in float32.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.custom_derivatives import SymbolicZero
from jax.experimental.layout import Layout, with_layout_constraint
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

UNROLLED = 16
"""Up to so many members or seeds are multiplied one by one, if in bfloat16 on a CPU."""


def half_operands() -> bool:
    """Whether hidden layers should multiply bfloat16 operands: is that the setting?"""
    setting = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return setting == "bfloat16"


def on_cpu() -> bool:
    """Whether programs are compiled for a CPU."""
    return jax.default_backend() == "cpu"


class Weight(NamedTuple):
    """A layer's weight (m, n), and the factors of its two products, rounded or not.

    Worth making outside of a scan for a weight that stays as it is.  Gradients go to `full`.
    """

    full: Float[Array, "*layers m n"]
    forward: Array
    backward: Array

    @classmethod
    def of(cls, weight: Float[Array, "*layers m n"], *, half: bool = False) -> "Weight":
        """With factors in float32, or `half`: in bfloat16."""
        fixed = jax.lax.stop_gradient(weight)
        if not half:
            return cls(weight, jnp.swapaxes(fixed, -1, -2), fixed)
        fixed = fixed.astype(jnp.bfloat16)
        return cls(weight, _row_major(jnp.swapaxes(fixed, -1, -2)), fixed)


@jax.custom_jvp
def product(x: Float[Array, "*rows n"], weight: Weight) -> Float[Array, "*rows m"]:
    """The product x · Wᵀ; of a `half` weight, that of rounded operands, as in its gradients.

    By the weight it can be differentiated once; by x also what a gradient by the weight is made
    of, so that an encoder below learns from the loss of an update (`shared/training/encoded.py`).
    """
    return rows_p.bind(x.astype(weight.forward.dtype), weight.forward, weight.backward)


def _product_jvp(primals, tangents):
    (x, weight), (x_dot, weight_dot) = primals, tangents
    x = x.astype(weight.forward.dtype)
    y = rows_p.bind(x, weight.forward, weight.backward)
    y_dot = jnp.zeros_like(y)
    if not isinstance(x_dot, SymbolicZero):
        y_dot += rows_p.bind(x_dot, weight.forward, weight.backward)
    if not isinstance(weight_dot.full, SymbolicZero):
        y_dot += changed_p.bind(x, weight_dot.full)
    return y, y_dot


product.defjvp(_product_jvp, symbolic_zeros=True)


# Three operations, so that gradients of nested batches and of scans stay in these forms:
# rules of differentiation alone would form the gradient of every batch element, and add
# them up.  All accumulate in float32.


def _row_major(x):
    """Row after row in memory, where a transpose is but a view; a GPU reads either as fast."""
    if not on_cpu():
        return x
    return with_layout_constraint(x, Layout(major_to_minor=tuple(range(x.ndim))))


def _multiply(a, b):
    """The product of matrices, rounded as b is."""
    if b.dtype == jnp.bfloat16:
        a, b = _row_major(a.astype(b.dtype)), _row_major(b)
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


def _compute_rows(x, forward, backward):
    del backward
    y = _multiply(x.reshape(-1, x.shape[-1]), forward)
    return y.reshape(*x.shape[:-1], y.shape[-1])


def _compute_changed(x, change):
    return _compute_rows(x, change.astype(x.dtype).T, None)


def _compute_outer(y, x):
    y, x = (a.reshape(-1, a.shape[-1]) for a in (y, x))
    return _multiply(_row_major(y.astype(x.dtype).T), x)


def _operation(name: str, compute, shape) -> Primitive:
    """What `compute` does, as one operation; `shape` is that of its result."""
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(compute))

    @primitive.def_abstract_eval
    def _(*arrays):
        return ShapedArray(shape(*(a.shape for a in arrays)), jnp.dtype(jnp.float32))

    mlir.register_lowering(primitive, mlir.lower_fun(compute, multiple_results=False))
    return primitive


rows_p = _operation("product_of_rows", _compute_rows, lambda x, forward, _: (*x[:-1], forward[1]))
"""x (*rows, n) · forward (n, m), linear in x; its transpose multiplies by the third operand."""
changed_p = _operation(
    "product_of_change", _compute_changed, lambda x, change: (*x[:-1], change[0])
)
"""x (*rows, n) · changeᵀ, linear in the change (m, n) of a weight."""
outer_p = _operation("sum_of_outer", _compute_outer, lambda y, x: (y[-1], x[-1]))
"""The sum over all rows of y (*rows, m) ⊗ x (*rows, n): the gradient (m, n) of a weight."""


def _transpose_rows(cotangent, x, forward, backward):
    if isinstance(cotangent, ad.Zero):
        return ad.Zero(x.aval), None, None
    return rows_p.bind(cotangent, backward, forward), None, None


def _transpose_changed(cotangent, x, change):
    if isinstance(cotangent, ad.Zero):
        return None, ad.Zero(change.aval)
    return None, outer_p.bind(cotangent, x)


def _rows_jvp(primals, tangents):
    (x, forward, backward), x_dot = primals, ad.instantiate_zeros(tangents[0])
    y = rows_p.bind(x, forward, backward)
    return y, rows_p.bind(x_dot.astype(x.dtype), forward, backward)


def _bilinear_jvp(operation):
    """The rule of an operation that is linear in each of its two operands."""

    def rule(primals, tangents):
        (a, b), (a_dot, b_dot) = primals, tangents
        terms = [] if isinstance(a_dot, ad.Zero) else [operation.bind(a_dot, b)]
        terms += [] if isinstance(b_dot, ad.Zero) else [operation.bind(a, b_dot)]
        return operation.bind(a, b), sum(terms[1:], terms[0])

    return rule


def _batch(operation, batched, rounded_by: int):
    """The batching rule of an operation with several weights, or gradients of such.

    `batched` carries it out for all at once, on a CPU in float32; of rounded factors, which only
    plain products are fast for there, one member comes after the other.  `rounded_by` tells the
    operand.
    """

    def rule(arrays, axes):
        arrays = [
            x if axis is None else jnp.moveaxis(x, axis, 0)
            for x, axis in zip(arrays, axes, strict=True)
        ]
        many = [axis is not None for axis in axes]
        size = arrays[many.index(True)].shape[0]
        if operation is not outer_p and not many[1]:
            return operation.bind(*arrays), 0  # more rows of the same weight
        if arrays[rounded_by].dtype == jnp.bfloat16 and size <= UNROLLED and on_cpu():
            each = [
                operation.bind(*(x[i] if m else x for x, m in zip(arrays, many, strict=True)))
                for i in range(size)
            ]
            return jnp.stack(each), 0
        rounded = [x.astype(arrays[rounded_by].dtype) for x in arrays]
        rounded = [x.astype(jnp.float32) for x in rounded] if on_cpu() else rounded
        return batched(*(x if m else x[None] for x, m in zip(rounded, many, strict=True))), 0

    return rule


def _batched_rows(x, forward, _):
    x_rows = x.reshape(x.shape[0], -1, x.shape[-1])
    y = jnp.matmul(x_rows, forward, preferred_element_type=jnp.float32)
    return y.reshape(y.shape[0], *x.shape[1:-1], y.shape[-1])


def _batched_changed(x, change):
    return _batched_rows(x, jnp.swapaxes(change, -1, -2), None)


def _batched_outer(y, x):
    y, x = (a.reshape(a.shape[0], -1, a.shape[-1]) for a in (y, x))
    y = _row_major(jnp.swapaxes(y, -1, -2))
    return jnp.matmul(y, x, preferred_element_type=jnp.float32)


ad.primitive_jvps[rows_p] = _rows_jvp
ad.primitive_jvps[changed_p] = _bilinear_jvp(changed_p)
ad.primitive_jvps[outer_p] = _bilinear_jvp(outer_p)
ad.primitive_transposes[rows_p] = _transpose_rows
ad.primitive_transposes[changed_p] = _transpose_changed
batching.primitive_batchers[rows_p] = _batch(rows_p, _batched_rows, rounded_by=1)
batching.primitive_batchers[changed_p] = _batch(changed_p, _batched_changed, rounded_by=0)
batching.primitive_batchers[outer_p] = _batch(outer_p, _batched_outer, rounded_by=1)
