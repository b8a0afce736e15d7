"""Matrix products with bfloat16 operands on a CPU, for the hidden layers of networks.

Processors with bfloat16 units (Intel's AMX, for one) multiply such operands two to
three times faster than float32 ones, but XLA uses them only for plain two-dimensional
products of row-major operands with float32 results.  So every product is brought into
that form: the rows of a batch are one operand, members of an ensemble and seeds are
products of their own, and transposes are written out.

Parameters, sums, biases, and the first and last layers stay in float32.
"""

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


@custom_vmap
def half_product(x: Float[Array, "n"], weight: Float[Array, "n m"]) -> Float[Array, "m"]:
    """The product x · weight of operands rounded to bfloat16; so are those of its gradients.

    Batches are made by `jax.vmap`.  Reverse-mode gradients are taken of the batch,
    `grad(vmap(...))`; the other order is an error of JAX.
    """
    return _rows_times(x[None], weight)[0]


@half_product.def_vmap
def _half_products(size, batched, x, weight):
    many_x, many_weights = batched
    if not many_weights:
        return _rows_times(x, weight), True
    return jnp.stack([half_product(x[i] if many_x else x, weight[i]) for i in range(size)]), True


@jax.custom_vjp
def _rows_times(x, weight):
    return _forward(x, weight)[0]


def _forward(x, weight):
    x, weight = x.astype(jnp.bfloat16), weight.astype(jnp.bfloat16)
    return _product(x, weight), (x, weight)


def _backward(residuals, cotangent):
    x, weight = residuals
    cotangent = cotangent.astype(jnp.bfloat16)
    return _product(cotangent, weight.T), _product(x.T, cotangent)


_rows_times.defvjp(_forward, _backward)


@custom_vmap
def _product(a, b):
    """Of two matrices; both are laid out row after row, where a transpose is but a view."""
    a, b = (with_layout_constraint(x, Layout(major_to_minor=(0, 1))) for x in (a, b))
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


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
