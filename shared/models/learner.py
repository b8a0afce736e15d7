"""A model with its optimizer state, and the one way to descend a loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PyTree

from shared.types import Scalar

Metrics = dict[str, Float[Array, ""]]


class Learner(eqx.Module):
    """A trained model and the state of its optimizer.

    The optimizer itself is a hyperparameter and belongs to the algorithm.
    """

    model: PyTree
    opt_state: PyTree

    @classmethod
    def create(cls, model: PyTree, optimizer: optax.GradientTransformation) -> "Learner":
        return cls(model, optimizer.init(eqx.filter(model, eqx.is_inexact_array)))


def descend(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any], tuple[Float[Array, ""], Metrics]],
) -> tuple[Learner, Metrics]:
    """One optimizer step on `loss(model) -> (value, metrics)`.

    Gradients flow into `learner.model` and into nothing else: whatever the
    loss closes over is frozen, and is not differentiated.
    """
    (_, metrics), gradients = eqx.filter_value_and_grad(loss, has_aux=True)(learner.model)
    parameters = eqx.filter(learner.model, eqx.is_inexact_array)
    # Adam's bias correction in optax raises a float to an integer power; our own code is strict.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(gradients, learner.opt_state, parameters)
    return Learner(eqx.apply_updates(learner.model, updates), opt_state), metrics


def polyak(target: PyTree, online: PyTree, tau: Scalar) -> PyTree:
    """Move a slow copy towards the online model: (1 - tau)·target + tau·online."""
    return jax.tree.map(
        lambda t, o: (1 - tau) * t + tau * o if eqx.is_inexact_array(t) else t, target, online
    )
