"""All weights of a model from one draw of random numbers.

A draw a layer makes a program of hundreds of random number generators, which
takes longer to compile than the whole training step of a model.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray


def initialise(make: Callable[..., Any], *, key: PRNGKeyArray) -> Any:
    """`make(key=key)` with every linear layer uniform in ±1/sqrt(fan-in), from one stream.

    It is the distribution that `make` itself would draw from; all other arrays of
    the model start at zero.
    """
    shapes = eqx.filter_eval_shape(make, key=key)
    arrays = [x for x in jax.tree.leaves(shapes) if isinstance(x, jax.ShapeDtypeStruct)]
    ends = np.cumsum([int(np.prod(x.shape)) for x in arrays])
    stream = jax.random.uniform(key, (int(ends[-1]),), minval=-1.0, maxval=1.0)
    parts = iter(jnp.split(stream, ends[:-1]))

    def draw(node):
        linear = isinstance(node, eqx.nn.Linear)
        limit = 1 / np.sqrt(node.in_features) if linear else 0.0
        return jax.tree.map(lambda x: limit * next(parts).reshape(x.shape), node)

    return jax.tree.map(draw, shapes, is_leaf=lambda node: isinstance(node, eqx.nn.Linear))
