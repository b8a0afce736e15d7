"""A small causal transformer over a sequence of token vectors, written for one sequence."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from shared.models.networks import MLP


class Attention(eqx.Module):
    """Multi-head self-attention (Vaswani et al., 2017, section 3.2).

    A call with a `key` drops a share of the attention weights, as GPT-2 does in training.
    """

    queries_keys_values: eqx.nn.Linear
    output: eqx.nn.Linear
    heads: int = eqx.field(static=True)
    dropout: float = eqx.field(static=True)

    def __init__(self, width: int, heads: int, dropout: float, *, key: PRNGKeyArray):
        k_in, k_out = jax.random.split(key)
        self.queries_keys_values = eqx.nn.Linear(width, 3 * width, key=k_in)
        self.output = eqx.nn.Linear(width, width, key=k_out)
        self.heads, self.dropout = heads, dropout

    def __call__(
        self,
        x: Float[Array, "time width"],
        visible: Bool[Array, "time time"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "time width"]:
        time, width = x.shape
        packed = jax.vmap(self.queries_keys_values)(x)
        q, k, v = jnp.moveaxis(packed.reshape(time, 3, self.heads, width // self.heads), 1, 0)
        scores = jnp.einsum("qhd,khd->hqk", q, k) / (width // self.heads) ** 0.5
        weights = jax.nn.softmax(jnp.where(visible[None], scores, -jnp.inf), axis=-1)
        weights = drop(weights, self.dropout, key=key)
        mixed = jnp.einsum("hqk,khd->qhd", weights, v).reshape(time, width)
        return jax.vmap(self.output)(mixed)


class Block(eqx.Module):
    """x + attention(norm(x)), then x + network(norm(x)): the pre-norm block of GPT-2."""

    attention: Attention
    network: MLP
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    dropout: float = eqx.field(static=True)

    def __init__(self, width: int, heads: int, dropout: float, *, key: PRNGKeyArray):
        k_attention, k_network = jax.random.split(key)
        self.attention = Attention(width, heads, dropout, key=k_attention)
        self.network = MLP(width, width, (4 * width,), key=k_network)
        self.norms = (eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width))
        self.dropout = dropout

    def __call__(
        self,
        x: Float[Array, "time width"],
        visible: Bool[Array, "time time"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "time width"]:
        within, first, second = (None,) * 3 if key is None else jax.random.split(key, 3)
        mixed = self.attention(jax.vmap(self.norms[0])(x), visible, key=within)
        x = x + drop(mixed, self.dropout, key=first)
        return x + drop(
            jax.vmap(self.network)(jax.vmap(self.norms[1])(x)), self.dropout, key=second
        )


class CausalTransformer(eqx.Module):
    """Blocks between two layer norms; no token sees a later one.

    Arguments:
        width: length of a token vector, a multiple of `heads`.
        layers: number of blocks.
        heads: attention heads of a block.
        dropout: share of activations and attention weights zeroed in a call with a `key`.
        key: initialises the weights.
    """

    blocks: tuple[Block, ...]
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    dropout: float = eqx.field(static=True)

    def __init__(self, width: int, layers: int, heads: int, dropout: float, *, key: PRNGKeyArray):
        keys = jax.random.split(key, layers)
        self.blocks = tuple(Block(width, heads, dropout, key=k) for k in keys)
        self.norms = (eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width))
        self.dropout = dropout

    def __call__(
        self,
        tokens: Float[Array, "time width"],
        real: Bool[Array, "time"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "time width"]:
        """Outputs of all tokens; those that are not `real` are seen by none but themselves."""
        time = tokens.shape[0]
        visible = jnp.tril(jnp.ones((time, time), bool)) & real[None, :]
        visible |= jnp.eye(time, dtype=bool)  # a row without anything visible would be NaN
        keys = jax.random.split(key, len(self.blocks) + 1) if key is not None else None
        x = jax.vmap(self.norms[0])(tokens)
        x = drop(x, self.dropout, key=None if keys is None else keys[-1])
        for i, block in enumerate(self.blocks):
            x = block(x, visible, key=None if keys is None else keys[i])
        return jax.vmap(self.norms[1])(x)


def drop(
    x: Float[Array, "*shape"], share: float, *, key: PRNGKeyArray | None
) -> Float[Array, "*shape"]:
    """Zero a share of the entries and scale up the rest; nothing without a key."""
    if key is None or share == 0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - share, x.shape), x / (1 - share), 0.0)
