"""BC: behaviour cloning, the floor that every offline method must beat.

    min  mean of (a - pi(s))²

The policy is deterministic: tanh of an MLP on normalised observations.  With
`best_fraction` < 1 it clones only that share of all rows, taken from the episodes
with the highest returns: `bc-10` is BC-10% as in "Decision Transformer" (Chen et al.,
2021), which ranks by return and counts rows.  A terminal inside of an episode ends it there.

Differences from the paper: none that a reader must know; the paper predates Adam and ReLU.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from shared.algorithm import AbstractAlgorithm, Phase, hyperparameter
from shared.errors import ConfigError
from shared.models.learner import Learner, descend
from shared.models.networks import MLP, Normalizer
from shared.ranges import Count, Positive, Rate, Size, Sizes


class State(NamedTuple):
    """Everything that BC remembers."""

    normalizer: Normalizer
    actor: Learner


class BC(AbstractAlgorithm):
    """Behaviour cloning by squared error."""

    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    learning_rate: Positive = hyperparameter("Adam step size")
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    best_fraction: Rate = hyperparameter("share of the rows cloned, by return of their episode")

    title = "BC: behaviour cloning by squared error, of all data or (bc-10) of the best tenth"
    paper = "Pomerleau 1991, Efficient training of artificial neural networks"
    observations = ("state", "pixels")
    learns_from_rewards = False
    shaped_by = {"policy": "actor_loss"}

    def __check_init__(self):
        if self.best_fraction < 1 and self.return_weighting is not None:
            raise ConfigError(
                f"best_fraction {self.best_fraction:g} and return_weighting "
                f"{self.return_weighting:g} both choose episodes by return; set one of them to 1 "
                "or null."
            )

    @property
    def optimizer(self):
        return optax.adam(self.learning_rate)

    def init(self, spec, *, key):
        actor = MLP(spec.observation_size, spec.action_size, self.hidden_sizes, key=key)
        return State(Normalizer.of(spec), Learner.create(actor, self.optimizer))

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        if self.best_fraction < 1:
            return dataset.draw_best(self.batch_size, self.best_fraction, key=key)
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        s = jax.vmap(state.normalizer)(batch.observation)

        def loss(actor):
            error = (jnp.tanh(jax.vmap(actor)(s)) - batch.action) ** 2
            value = jnp.mean(error)
            return value, {"actor_loss": value}

        actor, metrics = descend(state.actor, self.optimizer, loss)
        return state._replace(actor=actor), metrics

    def act(self, state, memory, observation, *, key):
        return jnp.tanh(state.actor.model(state.normalizer(observation))), memory
