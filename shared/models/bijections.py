"""The layers of the conditional flow, all of one shape so that they can be stacked.

A layer maps data towards the latent space,

    x → y = (x + shift) · exp(log_scale)           ActNorm
      → h = y W                                     learned linear map
      → h · exp(l) + t,   (l, t) = conditioner(kept part of h, condition)   coupling

Vectors are rows (`y W`), so that a batch times a weight is a plain matrix
product.  The coupling is written on the full width with a 0/1 mask: rows of
the first weight that read a transformed entry, and those of the last weight
that would move a kept entry, are multiplied by zero.  Unequal halves (odd
action sizes) then have the same shapes as equal ones.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.networks import orthogonal_matrix
from shared.models.products import Weight, half_operands, product

EXACT = jax.lax.Precision.HIGHEST
"""For the n × n maps: accelerators must not round what has to be inverted."""


def kept_entries(layers: int, size: int) -> Float[Array, "layers size"]:
    """1 where a layer passes an entry through, 0 where it transforms it.

    Even layers keep the first `size // 2` entries and odd layers the rest.  A
    single entry is always transformed: its conditioner sees the condition only.
    """
    first = jnp.arange(size) < size // 2
    even = jnp.arange(layers)[:, None] % 2 == 0
    kept = jnp.where(even, first[None, :], ~first[None, :] & (size > 1))
    return kept.astype(jnp.float32)


class Coupling(eqx.Module):
    """Conditional affine coupling: h → h · exp(l) + t on the entries that are not kept.

    Three linear layers with relu read the kept entries and the condition; the
    last one starts at zero, so that a fresh coupling is the identity.  The
    log-scale is l = gain · tanh(·) with a learned gain per entry.

    `output` alone is stored transposed, which makes its gradient a fast product.
    """

    from_entries: Float[Array, "*layers n h"]
    from_condition: Float[Array, "*layers c h"]
    input_bias: Float[Array, "*layers h"]
    hidden: Float[Array, "*layers h h"] | Weight
    hidden_bias: Float[Array, "*layers h"]
    output: Float[Array, "*layers two_n h"]
    output_bias: Float[Array, "*layers two_n"]
    gain: Float[Array, "*layers n"]

    def __init__(self, size: int, condition_size: int, hidden_size: int, *, key: PRNGKeyArray):
        keys = jax.random.split(key, 5)
        fan_in = max(1, size // 2 + condition_size)
        self.from_entries = _uniform(keys[0], (size, hidden_size), fan_in)
        self.from_condition = _uniform(keys[1], (condition_size, hidden_size), fan_in)
        self.input_bias = _uniform(keys[2], (hidden_size,), fan_in)
        self.hidden = _uniform(keys[3], (hidden_size, hidden_size), hidden_size)
        self.hidden_bias = _uniform(keys[4], (hidden_size,), hidden_size)
        self.output = jnp.zeros((2 * size, hidden_size))
        self.output_bias = jnp.zeros(2 * size)
        self.gain = jnp.ones(size)

    def masked(self, kept: Float[Array, "*layers n"]) -> "Coupling":
        """The same coupling with its dead rows and columns at zero; call it in this form."""
        moved = jnp.concatenate([1 - kept, 1 - kept], axis=-1)
        return eqx.tree_at(
            lambda c: (c.from_entries, c.output, c.output_bias),
            self,
            (
                self.from_entries * kept[..., :, None],
                self.output * moved[..., :, None],
                self.output_bias * moved,
            ),
        )

    def __call__(
        self, entries: Float[Array, "n"], condition: Float[Array, "c"]
    ) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
        """Log-scale l and shift t; both are zero on kept entries."""
        # Two products, not one of the concatenation: the backward pass then
        # does not form the gradient of a condition nobody differentiates.
        from_condition = condition @ self.from_condition + self.input_bias
        x = jax.nn.relu(entries @ self.from_entries + from_condition)
        if isinstance(self.hidden, Weight):
            x = product(x, self.hidden)
        else:
            x = x @ self.hidden
        x = jax.nn.relu(x + self.hidden_bias)
        log_scale, shift = jnp.split(x @ self.output.T + self.output_bias, 2)
        return self.gain * jnp.tanh(log_scale), shift


class FlowLayer(eqx.Module):
    """ActNorm, linear map and coupling; K of them are stacked along a leading axis."""

    shift: Float[Array, "*layers n"]
    log_scale: Float[Array, "*layers n"]
    linear: Float[Array, "*layers n n"]
    coupling: Coupling

    def __init__(self, size: int, condition_size: int, hidden_size: int, *, key: PRNGKeyArray):
        linear_key, coupling_key = jax.random.split(key)
        self.shift = jnp.zeros(size)
        self.log_scale = jnp.zeros(size)
        self.linear = orthogonal_matrix((size, size), key=linear_key)
        self.coupling = Coupling(size, condition_size, hidden_size, key=coupling_key)

    def __call__(
        self, x: Float[Array, "n"], condition: Float[Array, "c"]
    ) -> tuple[Float[Array, "n"], Float[Array, ""]]:
        """One step towards the latent, and the coupling's part of log|det|.

        The constant part, of ActNorm and the linear map, is `constant_log_det`.
        """
        h = jnp.dot((x + self.shift) * jnp.exp(self.log_scale), self.linear, precision=EXACT)
        log_scale, shift = self.coupling(h, condition)
        return h * jnp.exp(log_scale) + shift, jnp.sum(log_scale)


class FrozenLayer(eqx.Module):
    """The inverse of a `FlowLayer`: coupling, then x = h · matrix + offset.

    Made from one layer with a masked coupling; a stack is made by `jax.vmap`.
    """

    matrix: Float[Array, "*layers n n"]
    offset: Float[Array, "*layers n"]
    coupling: Coupling

    def __init__(self, layer: FlowLayer):
        inverse = jnp.linalg.inv(layer.linear)
        # One Newton step removes most of the rounding of the factorisation.
        residual = jnp.eye(layer.shift.size) - _product(layer.linear, inverse)
        inverse = inverse + _product(inverse, residual)
        self.matrix = inverse * jnp.exp(-layer.log_scale)[None, :]
        self.offset = -layer.shift
        self.coupling = layer.coupling

    def __call__(self, x: Float[Array, "n"], condition: Float[Array, "c"]) -> Float[Array, "n"]:
        log_scale, shift = self.coupling(x, condition)
        h = (x - shift) * jnp.exp(-log_scale)
        return jnp.dot(h, self.matrix, precision=EXACT) + self.offset


def prepared(layers):
    """The layers as a scan should get them: hidden weights in bfloat16 where that is wanted."""
    if not half_operands():
        return layers
    hidden = Weight.of(jnp.swapaxes(layers.coupling.hidden, -1, -2), half=True)
    return eqx.tree_at(lambda s: s.coupling.hidden, layers, hidden)


def constant_log_det(layers: FlowLayer) -> Float[Array, ""]:
    """log|det| of every ActNorm and linear map together, in one batched factorisation."""
    return jnp.sum(layers.log_scale) + jnp.sum(jnp.linalg.slogdet(layers.linear).logabsdet)


def _product(a, b):
    return jnp.matmul(a, b, precision=EXACT)


def _uniform(key, shape, fan_in):
    limit = fan_in**-0.5
    return jax.random.uniform(key, shape, jnp.float32, -limit, limit)
