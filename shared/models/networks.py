"""Networks shared by all algorithms, written for one event and vmapped by the caller."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray

from shared.models.products import Weight, half_operands, product

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@jax.custom_jvp
def selu(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """`jax.nn.selu` at half its cost: exp(x) - 1 in place of expm1, and slopes of the output.

    Off by one rounding of 1 (6e-8, absolute) where x is just below zero.
    """
    return SELU_SCALE * jnp.where(x > 0, x, SELU_ALPHA * (jnp.exp(jnp.minimum(x, 0.0)) - 1.0))


@selu.defjvp
def _selu_jvp(primals, tangents):
    y = selu(*primals)
    slope = jnp.where(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)
    return y, slope * tangents[0]


WIDE = 128
"""A layer with so many inputs and outputs lies between networks, not at data."""


def affine(
    layer: eqx.nn.Linear, x: Float[Array, "n"], *, hidden: bool = False
) -> Float[Array, "m"]:
    """`layer(x)` as x · Wᵀ + b, of `hidden` and wide layers in bfloat16 where wanted.

    Vmapped, the rows of the batch stay rows; of W · x they would become columns, and be
    transposed back behind every layer.
    """
    half = half_operands() and (hidden or min(layer.weight.shape) >= WIDE)
    y = product(x, Weight.of(layer.weight, half=half))
    return y if layer.bias is None else y + layer.bias


class MLP(eqx.Module):
    """A stack of linear layers with one activation between them.

    Arguments:
        in_size: length of the input vector.
        out_size: length of the output vector.
        hidden_sizes: width of every hidden layer, e.g. `(256, 256)`.
        activation: applied after every hidden layer.
        zero_output: start with an output of exactly zero (flow conditioners).
        layer_norm: normalise every hidden layer's activations.
        dropout: share of hidden activations zeroed in a call with a `key`; a call
            without one is deterministic.
        orthogonal: start from orthogonal weights of this gain and zero biases, in
            place of the default, uniform in ±1/sqrt(fan-in).
        key: initialises weights and biases.
    """

    layers: tuple[eqx.nn.Linear, ...]
    norms: tuple[eqx.nn.LayerNorm, ...]
    activation: Callable = eqx.field(static=True)
    dropout: float = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        activation: Callable = jax.nn.relu,
        zero_output: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        orthogonal: float | None = None,
        key: PRNGKeyArray,
    ):
        sizes = (in_size, *hidden_sizes, out_size)
        keys = jax.random.split(key, len(sizes) - 1)
        layers = [
            eqx.nn.Linear(n_in, n_out, key=k)
            for n_in, n_out, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        ]
        if orthogonal is not None:
            layers = [
                _orthogonal(layer, orthogonal, key=k) for layer, k in zip(layers, keys, strict=True)
            ]
        if zero_output:
            layers[-1] = jax.tree.map(jnp.zeros_like, layers[-1])
        self.layers = tuple(layers)
        self.norms = tuple(eqx.nn.LayerNorm(n) for n in hidden_sizes) if layer_norm else ()
        self.activation = activation
        self.dropout = dropout

    def __call__(
        self, x: Float[Array, "n"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "m"]:
        for i, layer in enumerate(self.layers[:-1]):
            x = self.activation(affine(layer, x, hidden=i > 0))
            if self.norms:
                x = self.norms[i](x)
            if self.dropout > 0 and key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - self.dropout, x.shape)
                x = jnp.where(kept, x / (1 - self.dropout), 0.0)
        return affine(self.layers[-1], x)


def orthogonal_matrix(
    shape: tuple[int, int], gain: float = 1.0, *, key: PRNGKeyArray
) -> Float[Array, "n m"]:
    """An orthogonal matrix of this `shape` times `gain`; vmapped, one after the other.

    Two batched decompositions at a time can wait for each other for ever on a CPU of two
    cores: each holds a thread of XLA's pool, and its matrices want another one (jaxlib 0.10.2).
    """

    @jax.custom_batching.sequential_vmap
    def draw(key):
        return jax.nn.initializers.orthogonal(gain)(key, shape, jnp.float32)

    return draw(key)


def _orthogonal(layer: eqx.nn.Linear, gain: float, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    weight = orthogonal_matrix(layer.weight.shape, gain, key=key)
    return eqx.tree_at(
        lambda linear: (linear.weight, linear.bias), layer, (weight, jnp.zeros_like(layer.bias))
    )


def unstacked(members: eqx.Module) -> list:
    """The members of an ensemble whose arrays have a leading axis of members.

    Plain products of one member after the other are faster on a CPU than batched ones.  The
    gradient of the split is one concatenation, that of indexing a sum of padded arrays.
    """
    arrays, rest = eqx.partition(members, eqx.is_array)
    leaves, structure = jax.tree.flatten(arrays)
    size = leaves[0].shape[0]
    each = zip(*(jax.lax.split(x, [1] * size) for x in leaves), strict=True)
    return [
        eqx.combine(jax.tree.unflatten(structure, [x[0] for x in parts]), rest) for parts in each
    ]


class Critics(eqx.Module):
    """An ensemble of state-action value functions Q_i(s, a), i = 1..size.

    The members share no weight; they are stacked along a leading axis so that
    one call evaluates all of them.  Further keywords (`layer_norm`, ...) are those of `MLP`.
    """

    members: MLP

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        size: int = 2,
        key: PRNGKeyArray,
        **keywords,
    ):
        def make(k):
            return MLP(observation_size + action_size, 1, hidden_sizes, key=k, **keywords)

        self.members = eqx.filter_vmap(make)(jax.random.split(key, size))

    def __call__(
        self, observation: Float[Array, "observation"], action: Float[Array, "action"]
    ) -> Float[Array, "size"]:
        x = jnp.concatenate([observation, action])
        return jnp.stack([member(x)[0] for member in unstacked(self.members)])

    def first(
        self, observation: Float[Array, "observation"], action: Float[Array, "action"]
    ) -> Float[Array, ""]:
        """Q_1(s, a) alone, at half the cost."""
        member = jax.tree.map(lambda x: x[0], self.members)
        return member(jnp.concatenate([observation, action]))[0]


ROUNDING = 1e-6
"""Of its mean, a column varies less by the rounding of float32."""


class Normalizer(eqx.Module):
    """Standardises observations with the data set's own statistics; pixels become ±0.5.

    Held in the algorithm's state, outside every trained model, so that no
    optimizer can move it.  `epsilon` is added to the standard deviation, unless that is smaller:
    a column of a tiny unit would be erased, so it is divided by its own deviation alone.
    """

    mean: Float[Array, "*observation"]
    std: Float[Array, "*observation"]
    epsilon: float = eqx.field(static=True, default=1e-3)

    @classmethod
    def of(cls, spec, *, active: bool = True) -> "Normalizer":
        """With the statistics of a `Spec`; one that is not `active` changes nothing."""
        mean, std = jnp.asarray(spec.observation_mean), jnp.asarray(spec.observation_std)
        if spec.is_pixels:
            return cls(mean, std, 0.0)
        return cls(mean, std) if active else cls(jnp.zeros_like(mean), jnp.ones_like(std), 0.0)

    @property
    def scale(self) -> Float[Array, "*observation"]:
        """What is divided by: a column that varies by rounding alone keeps `epsilon`."""
        tiny = (self.std < self.epsilon) & (self.std > ROUNDING * jnp.abs(self.mean))
        return jnp.where(tiny, self.std, self.std + self.epsilon)

    def __call__(self, observation: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
        return (observation.astype(self.mean.dtype) - self.mean) / self.scale

    def inverse(self, normalized: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """What was standardised, in its own units."""
        return normalized * self.scale + self.mean
