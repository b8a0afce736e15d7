"""Networks shared by all algorithms, written for one event and vmapped by the caller."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class MLP(eqx.Module):
    """A stack of linear layers with one activation between them.

    Arguments:
        in_size: length of the input vector.
        out_size: length of the output vector.
        hidden_sizes: width of every hidden layer, e.g. `(256, 256)`.
        activation: applied after every hidden layer.
        zero_output: start with an output of exactly zero (flow conditioners).
        key: initialises weights and biases uniformly in ±1/sqrt(fan-in).
    """

    layers: tuple[eqx.nn.Linear, ...]
    activation: Callable = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        activation: Callable = jax.nn.relu,
        zero_output: bool = False,
        key: PRNGKeyArray,
    ):
        sizes = (in_size, *hidden_sizes, out_size)
        keys = jax.random.split(key, len(sizes) - 1)
        layers = [
            eqx.nn.Linear(n_in, n_out, key=k)
            for n_in, n_out, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        ]
        if zero_output:
            layers[-1] = jax.tree.map(jnp.zeros_like, layers[-1])
        self.layers = tuple(layers)
        self.activation = activation

    def __call__(self, x: Float[Array, "n"]) -> Float[Array, "m"]:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Critics(eqx.Module):
    """An ensemble of state-action value functions Q_i(s, a), i = 1..size.

    The members share no weight; they are stacked along a leading axis so that
    one call evaluates all of them.
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
    ):
        def make(k):
            return MLP(observation_size + action_size, 1, hidden_sizes, key=k)

        self.members = eqx.filter_vmap(make)(jax.random.split(key, size))

    def __call__(
        self, observation: Float[Array, "observation"], action: Float[Array, "action"]
    ) -> Float[Array, "size"]:
        x = jnp.concatenate([observation, action])
        return eqx.filter_vmap(lambda member: member(x)[0])(self.members)


class Normalizer(eqx.Module):
    """Standardises observations with the data set's own statistics.

    Held in the algorithm's state, outside every trained model, so that no
    optimizer can move it.  `epsilon` is added to the standard deviation.
    """

    mean: Float[Array, "observation"]
    std: Float[Array, "observation"]
    epsilon: float = eqx.field(static=True, default=1e-3)

    def __call__(self, observation: Float[Array, "observation"]) -> Float[Array, "observation"]:
        return (observation - self.mean) / (self.std + self.epsilon)
