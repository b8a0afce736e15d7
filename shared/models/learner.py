"""A model with its optimizer state: how it begins, and the one way to descend a loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from shared.types import Scalar, is_zero

Metrics = dict[str, Float[Array, ""]]


class Learner(eqx.Module):
    """A trained model and the state of its optimizer.

    The optimizer itself is a hyperparameter and belongs to the algorithm.

    Attributes:
        model: what is trained.
        opt_state: of its optimizer.
        average: the exponential average of `model` along training; None where none is kept.
    """

    model: PyTree
    opt_state: PyTree
    average: PyTree = None

    @classmethod
    def create(
        cls, model: PyTree, optimizer: optax.GradientTransformation, *, average: Scalar = 0.0
    ) -> "Learner":
        """A fresh learner, which keeps an average unless its rate `average` is 0."""
        opt_state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
        return cls(model, opt_state, None if is_zero(average) else model)

    @property
    def steady(self) -> PyTree:
        """The average, or the model itself where none is kept: an actor that acts."""
        return self.model if self.average is None else self.average


def trained_parameters(state: PyTree) -> int:
    """How many numbers the optimizers of a state descend; slow copies and averages do not count."""

    def is_learner(x: Any) -> bool:
        return isinstance(x, Learner)

    learners = filter(is_learner, jax.tree.leaves(state, is_leaf=is_learner))
    arrays = jax.tree.leaves([eqx.filter(x.model, eqx.is_inexact_array) for x in learners])
    return sum(x.size for x in arrays)


def descend(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any], tuple[Float[Array, ""], Any]],
    *,
    average: Scalar = 0.0,
) -> tuple[Learner, Any]:
    """One optimizer step on `loss(model) -> (value, metrics)`; returns the learner and the metrics.

    Gradients flow into `learner.model` and into nothing else: whatever the
    loss closes over is frozen, and is not differentiated.  The learner's average,
    if it keeps one, follows at the rate `average`.
    """
    (_, metrics), gradients = eqx.filter_value_and_grad(loss, has_aux=True)(learner.model)
    # An encoder below learns from the metrics (`shared/training/encoded.py`), never from what an
    # earlier step of the same update did to another network.
    gradients = jax.lax.stop_gradient(gradients)
    parameters = eqx.filter(learner.model, eqx.is_inexact_array)
    # Adam's bias correction in optax raises a float to an integer power; our own code is strict.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(gradients, learner.opt_state, parameters)
    model = eqx.apply_updates(learner.model, updates)
    if learner.average is None:
        return Learner(model, opt_state), metrics
    return Learner(model, opt_state, polyak(learner.average, model, average)), metrics


def annealed_adam(rate: Scalar, steps: int, *, cosine: bool) -> optax.GradientTransformation:
    """Adam; with `cosine` its step size falls from `rate` to 0 in `steps` updates.

    After them (in the online phase) it is back at its full value.
    """
    if not cosine:
        return optax.adam(rate)
    offline = optax.cosine_decay_schedule(rate, max(steps, 1))  # 0: the encoder alone is trained
    return optax.adam(optax.join_schedules([offline, optax.constant_schedule(rate)], [steps]))


def polyak(target: PyTree, online: PyTree, tau: Scalar) -> PyTree:
    """Move a slow copy towards the online model: (1 - tau)·target + tau·online."""
    return jax.tree.map(
        lambda t, o: (1 - tau) * t + tau * o if eqx.is_inexact_array(t) else t, target, online
    )


def initialise(make: Callable[..., Any], *, key: PRNGKeyArray) -> Any:
    """`make(key=key)` with every linear layer uniform in ±1/sqrt(fan-in), from one stream.

    It is the distribution that `make` itself would draw from; all other arrays of
    the model start at zero.  A draw a layer would make a program of hundreds of random
    number generators, which takes longer to compile than a whole training step.
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


def clipped_adam(
    clip: Scalar, learning_rate: Scalar, steps: int | None = None
) -> optax.GradientTransformation:
    """Adam on gradients whose global norm is at most `clip`.

    Its step size falls to 0 within `steps` updates along a cosine (None: it stays).
    """

    def falling(count):
        return learning_rate * optax.cosine_decay_schedule(1.0, max(steps, 1))(count)

    rate = learning_rate if steps is None else falling
    return optax.chain(optax.clip_by_global_norm(clip), optax.adam(rate))
