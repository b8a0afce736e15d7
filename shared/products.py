"""Matrix products with bfloat16 operands on a CPU, for the hidden layers of networks.

Processors with bfloat16 units (Intel's AMX, for one) multiply such operands two to
three times faster than float32 ones, but XLA uses them only for plain two-dimensional
products of row-major operands with float32 results.  So every product is brought into
that form: the rows of a batch are one operand, members of an ensemble and seeds are
products of their own, and transposes are written out.

Parameters, sums, biases, and the first and last layers stay in float32.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

UNROLLED = 16
"""Up to so many members or seeds are multiplied one by one."""


def half_operands() -> bool:
    """Whether hidden layers should use `half_product`.

    They should where JAX's setting `jax_default_matmul_precision` is bfloat16 on a
    CPU.  Other devices obey that setting by themselves.
    """
    setting = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return setting == "bfloat16" and jax.default_backend() == "cpu"


class HalfWeight(NamedTuple):
    """A weight (n, m), itself in bfloat16, and the transpose of that.

    Worth making outside of a scan for a weight that stays as it is.  Gradients go to `full`.
    """

    full: Array
    half: Array
    transposed: Array

    @classmethod
    def of(cls, weight: Float[Array, "*layers n m"]) -> "HalfWeight":
        half = weight.astype(jnp.bfloat16)
        return cls(weight, half, _row_major(jnp.swapaxes(half, -1, -2)))


def half_product(x: Float[Array, "n"], weight: HalfWeight) -> Float[Array, "m"]:
    """The product x · weight of operands rounded to bfloat16; so are those of its gradients.

    Batches are made by `jax.vmap`.  Reverse-mode gradients are taken of the batch,
    `grad(vmap(...))`; the other order is an error of JAX.
    """
    return _event_times(x, *weight)


@custom_vmap
def _event_times(x, full, half, transposed):
    return _rows_times(x[None], full, half, transposed)[0]


@_event_times.def_vmap
def _events_times(size, batched, x, *weight):
    many_x, many_weights, *_ = batched
    if not many_weights:
        return _rows_times(x, *weight), True
    each = [_event_times(x[i] if many_x else x, *(w[i] for w in weight)) for i in range(size)]
    return jnp.stack(each), True


@jax.custom_vjp
def _rows_times(x, full, half, transposed):
    return _forward(x, full, half, transposed)[0]


def _forward(x, full, half, transposed):
    del full
    x = x.astype(jnp.bfloat16)
    return _product(x, half), (x, half, transposed)


def _backward(residuals, cotangent):
    x, half, transposed = residuals
    cotangent = cotangent.astype(jnp.bfloat16)
    nothing = jnp.zeros_like(half), jnp.zeros_like(transposed)
    return _product(cotangent, transposed), _product(x.T, cotangent), *nothing


_rows_times.defvjp(_forward, _backward)


@custom_vmap
def _product(a, b):
    return jnp.matmul(_row_major(a), _row_major(b), preferred_element_type=jnp.float32)


def _row_major(x):
    """Row after row in memory, where a transpose is but a view."""
    return with_layout_constraint(x, Layout(major_to_minor=tuple(range(x.ndim))))


@_product.def_vmap
def _products(size, batched, a, b):
    many_a, many_b = batched
    if not many_b:
        rows = _product(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[-1]), True
    if size > UNROLLED:
        return jnp.matmul(a, b, preferred_element_type=jnp.float32), True
    each = [_product(a[i] if many_a else a, b[i]) for i in range(size)]
    return jnp.stack(each), True
