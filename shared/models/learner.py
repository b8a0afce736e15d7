"""A model with its optimizer state, and the one way to descend a loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PyTree

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


def descend(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any], tuple[Float[Array, ""], Metrics]],
    *,
    average: Scalar = 0.0,
) -> tuple[Learner, Metrics]:
    """One optimizer step on `loss(model) -> (value, metrics)`.

    Gradients flow into `learner.model` and into nothing else: whatever the
    loss closes over is frozen, and is not differentiated.  The learner's average,
    if it keeps one, follows at the rate `average`.
    """
    (_, metrics), gradients = eqx.filter_value_and_grad(loss, has_aux=True)(learner.model)
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

    Behind them (in the online phase) it is back at its full value.
    """
    if not cosine:
        return optax.adam(rate)
    offline = optax.cosine_decay_schedule(rate, steps)
    return optax.adam(optax.join_schedules([offline, optax.constant_schedule(rate)], [steps]))


def polyak(target: PyTree, online: PyTree, tau: Scalar) -> PyTree:
    """Move a slow copy towards the online model: (1 - tau)·target + tau·online."""
    return jax.tree.map(
        lambda t, o: (1 - tau) * t + tau * o if eqx.is_inexact_array(t) else t, target, online
    )
