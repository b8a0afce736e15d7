"""A Gaussian regression, fitted in seconds: a clone of the data's policy, a model of one step.

    min  mean of -log N(y; mean(x), std(x)²)

The clone has x = s and y = a; it is what every policy is compared with.  The step has x = (s, a)
and y = ((s' - s) / std(s' - s), r / std(r)): where a policy's next moves would lead.
"""

from functools import partial
from typing import NamedTuple

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from shared.algorithm import AbstractAlgorithm, Phase, hyperparameter
from shared.models.learner import Learner, descend
from shared.models.networks import MLP, Normalizer
from shared.ranges import Count, Positive, Size, Sizes
from shared.training import program
from shared.training.seeds import of_seed
from shared.types import Spec

CAPACITY = 500
"""Updates in a compiled call."""
LOG_STD = (-5.0, 2.0)


class Pairs(eqx.Module):
    """What is regressed on what; leading axis = rows, on the device."""

    x: Float[Array, "rows n"]
    y: Float[Array, "rows m"]

    def draw(self, batch_size: int, *, key: PRNGKeyArray) -> "Pairs":
        """Rows uniformly with replacement."""
        index = jax.random.randint(key, (batch_size,), 0, self.x.shape[0])
        return Pairs(self.x[index], self.y[index])


class State(NamedTuple):
    """Everything that a regression remembers."""

    normalizer: Normalizer
    network: Learner


class Regression(AbstractAlgorithm):
    """Mean and standard deviation of y given x; it draws from `Pairs`."""

    steps: Count = hyperparameter("updates")
    batch_size: Size = hyperparameter("rows an update")
    hidden_sizes: Sizes = hyperparameter("hidden layers")
    learning_rate: Positive = hyperparameter("Adam step size; it falls to 0 along a cosine")

    title = "Gaussian regression"
    paper = "Nix and Weigend 1994, Estimating the mean and variance of the target distribution"

    def init(self, spec, *, key):
        network = MLP(spec.observation_size, 2 * spec.action_size, self.hidden_sizes, key=key)
        return State(Normalizer.of(spec), Learner.create(network, self.optimizer))

    @property
    def optimizer(self):
        return optax.adam(optax.cosine_decay_schedule(self.learning_rate, max(self.steps, 1)))

    def phases(self):
        return (Phase("regression", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        x = jax.vmap(state.normalizer)(batch.x)

        def loss(network):
            value = -jnp.mean(jax.vmap(partial(_log_prob, network))(x, batch.y))
            return value, {"nll": value}

        network, metrics = descend(state.network, self.optimizer, loss)
        return state._replace(network=network), metrics

    def act(self, state, memory, observation, *, key):
        """The mean."""
        return _gaussian(state.network.model, state.normalizer(observation))[0], memory

    def log_prob(self, state, observation, action):
        return _log_prob(state.network.model, state.normalizer(observation), action)


def _gaussian(network, x):
    mean, log_std = jnp.split(network(x), 2)
    return mean, jnp.exp(jnp.clip(log_std, *LOG_STD))


def _log_prob(network, x, y):
    return jnp.sum(distrax.Normal(*_gaussian(network, x)).log_prob(y))


DEFAULTS = {"batch_size": 256, "hidden_sizes": (128, 128), "learning_rate": 1e-3}
PASSES, MOST = 10, 2000
"""Passes over the rows, and updates, at most."""


def fit(x: np.ndarray, y: np.ndarray, *, seed: int = 0, **options) -> tuple[Regression, State]:
    """A regression of y on x, both (rows, numbers), and its state."""
    options = DEFAULTS | options
    options.setdefault("steps", min(MOST, 100 + PASSES * len(x) // options["batch_size"]))
    regression, keys = Regression(**options), program.seed_keys((seed,))
    mean, std = (f(x, axis=0, dtype=np.float64).astype(np.float32) for f in (np.mean, np.std))
    spec = Spec((x.shape[1],), y.shape[1], mean, std, np.zeros(2, np.float32))
    state, pairs = program.init_state(regression, spec, (seed,)), Pairs(*map(jnp.asarray, (x, y)))
    for first in range(0, regression.steps, CAPACITY):
        count = min(CAPACITY, regression.steps - first)
        state, _ = program.run_updates(regression, 0, CAPACITY, state, pairs, keys, first, count)
    return regression, of_seed(state, 0)
