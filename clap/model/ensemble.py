"""An ensemble of probabilistic models of one step: which change and reward does an action bring?

    f_k(s, a) = mean_k, log sigma_k²      of (s' - s, r), k = 1..members
    min  sum_k mean of (target - mean_k)² / sigma_k² + log sigma_k²
         + BOUND_WEIGHT · sum of (highest - lowest) + sum of decay_l/2 · ||W_l||²

log sigma_k² is squashed softly between `lowest` and `highest`, which are learned with the rest
(Chua et al. 2018, appendix A).  Members share nothing, see batches of their own and keep what did
best on held-out rows; the `elites` are the members with the lowest held-out error.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from shared.models.learner import Learner, Metrics, descend
from shared.models.networks import Normalizer
from shared.types import Transition

BOUND_WEIGHT = 0.01
"""Of the distance between the bounds; a mean over the members, which have bounds of their own."""
LOWEST, HIGHEST = -10.0, 0.5
"""Where the bounds of the log variances start."""


class Gaussians(NamedTuple):
    """What every member predicts of (s' - s, r): means and log variances."""

    mean: Float[Array, "members *batch out"]
    log_variance: Float[Array, "members *batch out"]

    @property
    def std(self) -> Float[Array, "members *batch out"]:
        """Standard deviations."""
        return jnp.exp(0.5 * self.log_variance)


class BatchedLinear(eqx.Module):
    """A linear layer of every member: one batched product."""

    weight: Float[Array, "members n_in n_out"]
    bias: Float[Array, "members n_out"]

    def __init__(self, members: int, n_in: int, n_out: int, *, key: PRNGKeyArray):
        normal = jax.random.truncated_normal(key, -2.0, 2.0, (members, n_in, n_out))
        self.weight = normal / (2 * np.sqrt(n_in).astype(np.float32))
        self.bias = jnp.zeros((members, n_out))

    def __call__(
        self, x: Float[Array, "members batch n_in"]
    ) -> Float[Array, "members batch n_out"]:
        return x @ self.weight + self.bias[:, None]


class Ensemble(eqx.Module):
    """Networks with swish between their layers; every array has a leading axis of members.

    Arguments:
        members: how many.
        in_size: numbers in standardised observation and action together.
        out_size: numbers predicted: one more than an observation has.
        hidden_sizes: widths of the hidden layers.
        key: initialises the weights.
    """

    layers: tuple[BatchedLinear, ...]
    lowest: Float[Array, "members out"]
    highest: Float[Array, "members out"]

    def __init__(
        self,
        members: int,
        in_size: int,
        out_size: int,
        hidden_sizes: tuple[int, ...],
        *,
        key: PRNGKeyArray,
    ):
        sizes = (in_size, *hidden_sizes, 2 * out_size)
        keys = jax.random.split(key, len(sizes) - 1)
        pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
        self.layers = tuple(BatchedLinear(members, *pair, key=k) for *pair, k in pairs)
        self.lowest = jnp.full((members, out_size), LOWEST)
        self.highest = jnp.full((members, out_size), HIGHEST)

    def __call__(self, x: Float[Array, "members batch n"]) -> Gaussians:
        """Every member on a batch of its own."""
        for layer in self.layers[:-1]:
            x = jax.nn.swish(layer(x))
        mean, free = jnp.split(self.layers[-1](x), 2, axis=-1)
        lowest, highest = self.lowest[:, None], self.highest[:, None]
        below = highest - jax.nn.softplus(highest - free)
        return Gaussians(mean, lowest + jax.nn.softplus(below - lowest))


class Dynamics(NamedTuple):
    """A trained or training ensemble.

    Attributes:
        normalizer: of the observations that go in; what is predicted is in the data's units.
        learner: the ensemble as it is trained.
        best: of every member the parameters with the lowest error so far.
        error: that error, a mean square a number of the target; infinite before the first look.
        elites: members with the lowest errors, the best one first.
    """

    normalizer: Normalizer
    learner: Learner
    best: Ensemble
    error: Float[Array, "members"]
    elites: Int[Array, "elites"]

    @classmethod
    def create(
        cls,
        normalizer: Normalizer,
        model: Ensemble,
        optimizer: optax.GradientTransformation,
        elites: int,
    ) -> "Dynamics":
        """Untrained, with the first members as elites."""
        error = jnp.full(len(model.lowest), jnp.inf)
        first = jnp.arange(elites, dtype=jnp.int32)
        return cls(normalizer, Learner.create(model, optimizer), model, error, first)

    def inputs(
        self, s: Float[Array, "observation"], a: Float[Array, "action"]
    ) -> Float[Array, "n"]:
        """A standardised observation and an action, which is within ±1 as it is."""
        return jnp.concatenate([self.normalizer(s), a])

    def predict(
        self, s: Float[Array, "batch observation"], a: Float[Array, "batch action"]
    ) -> Gaussians:
        """Of all members."""
        return predict(self.best, jax.vmap(self.inputs)(s, a))

    def predict_elites(
        self, s: Float[Array, "batch observation"], a: Float[Array, "batch action"]
    ) -> Gaussians:
        """Of the elites alone, in their order."""
        elites = jax.tree.map(lambda x: x[self.elites], self.best)
        return predict(elites, jax.vmap(self.inputs)(s, a))

    def improve(
        self,
        optimizer: optax.GradientTransformation,
        rows: Transition,
        weight_decay: tuple[float, ...],
    ) -> tuple["Dynamics", Metrics]:
        """One step of every member on rows of its own; leading axes = members, batch."""
        x = jax.vmap(jax.vmap(self.inputs))(rows.observation, rows.action)
        target = targets_of(rows)
        learner, metrics = descend(
            self.learner, optimizer, lambda model: ensemble_loss(model, x, target, weight_decay)
        )
        return self._replace(learner=learner), metrics

    def look(self, x: Float[Array, "batch n"], target: Float[Array, "batch out"]) -> "Dynamics":
        """Judge all members on held-out rows: keep what got better, choose the elites anew."""
        model = self.learner.model
        error = jnp.mean((predict(model, x).mean - target[None]) ** 2, axis=(1, 2))
        better = error < self.error

        def keep(new, old):
            return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        best = jax.tree.map(keep, model, self.best)
        lowest = jnp.minimum(error, self.error)
        elites = jnp.argsort(lowest)[: len(self.elites)].astype(self.elites.dtype)
        return self._replace(best=best, error=lowest, elites=elites)


def predict(ensemble: Ensemble, x: Float[Array, "batch n"]) -> Gaussians:
    """All members on the same batch."""
    return ensemble(jnp.broadcast_to(x, (len(ensemble.lowest), *x.shape)))


def targets_of(rows: Transition) -> Float[Array, "*batch out"]:
    """(s' - s, r) of recorded rows."""
    change = rows.next_observation - rows.observation
    return jnp.concatenate([change, rows.reward[..., None]], axis=-1)


def ensemble_loss(
    ensemble: Ensemble,
    x: Float[Array, "members batch n"],
    target: Float[Array, "members batch out"],
    weight_decay: tuple[float, ...],
) -> tuple[Float[Array, ""], Metrics]:
    """The loss at the top of this file; `weight_decay` one number a layer."""
    mean, log_variance = ensemble(x)
    error = (target - mean) ** 2
    nll = jnp.mean(error * jnp.exp(-log_variance) + log_variance, axis=(1, 2))
    bounds = jnp.mean(jnp.sum(ensemble.highest - ensemble.lowest, axis=1))
    pairs = zip(weight_decay, ensemble.layers, strict=True)
    decay = sum(0.5 * rate * jnp.sum(layer.weight**2) for rate, layer in pairs)
    loss = jnp.sum(nll) + BOUND_WEIGHT * bounds + decay
    return loss, {"model_nll": jnp.mean(nll), "model_error": jnp.mean(error)}


def evenly(among: Int[Array, "some"], count: int) -> Int[Array, "chosen"]:
    """`count` of these row numbers at most, evenly spaced, always the same."""
    count = min(count, among.shape[0])
    return among[jnp.arange(count) * (among.shape[0] // count)]
