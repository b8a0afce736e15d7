"""Fitted Q evaluation: what a policy is worth, from recorded transitions alone.

    y = r + discount (1 - terminal) Q'_m(s', pi(s'))
    min  sum_m mean of w_m(episode) (Q_m(s, a) - y_m)²
    Q'_m <- (1 - tau) Q'_m + tau Q_m

pi is fixed: nothing is maximised, and Q_m is only asked about actions that pi takes.  A terminal
masks the bootstrap, a time limit does not.  Every member m has targets of its own and weighs the
episodes in its own way, so that their spread is that of the bootstrap (Hao et al. 2021,
Bootstrapping fitted Q-evaluation, arXiv:2102.03607) and of the initial weights.

Le, Voloshin and Yue 2019, Batch policy learning under constraints (arXiv:1903.08738).

Differences from the papers: one step of Adam a batch and slow targets in place of whole
regressions; layer norm; and the members begin as the value of the *data*, fitted to its discounted
returns.  News of a reward travels a step in some 1 / tau updates: from there on only the
difference between policy and data has to.  Values are learned in standard deviations of those
returns, about their mean.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shared.algorithm import AbstractAlgorithm, Phase, hyperparameter
from shared.choice.policy_rows import PolicyRows
from shared.models.learner import Learner, annealed_adam, descend, polyak
from shared.models.losses import td_target
from shared.models.networks import Critics, Normalizer
from shared.ranges import Count, Positive, Rate, Share, Size, Sizes
from shared.training import program
from shared.training.seeds import copied, of_seed
from shared.types import Spec

CAPACITY = 500
"""Updates in a compiled call."""


class State(NamedTuple):
    """Everything that fitted Q evaluation remembers; `center` and `scale` are in raw rewards."""

    normalizer: Normalizer
    center: Float[Array, ""]
    scale: Float[Array, ""]
    critics: Learner
    target_critics: Critics


class FittedQ(AbstractAlgorithm):
    """The critics of a fixed policy; they draw from `PolicyRows`."""

    start_steps: Count = hyperparameter("updates towards the returns of the data")
    steps: Count = hyperparameter("updates towards the value of the policy")
    batch_size: Size = hyperparameter("rows an update")
    members: Size = hyperparameter("critics, each with episode weights of its own")
    hidden_sizes: Sizes = hyperparameter("hidden layers of each")
    learning_rate: Positive = hyperparameter("Adam step size; it falls to 0 along a cosine")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    discount: Share = hyperparameter("discount of future rewards")

    title = "FQE: the value of a fixed policy"
    paper = "Le et al. 2019, Batch Policy Learning under Constraints (arXiv:1903.08738)"

    def init(self, spec, *, key):
        sizes = (spec.observation_size, spec.action_size, self.hidden_sizes)
        critics = Critics(*sizes, size=self.members, layer_norm=True, key=key)
        learner = Learner.create(critics, self.optimizer)
        return State(Normalizer.of(spec), jnp.zeros(()), jnp.ones(()), learner, critics)

    @property
    def optimizer(self):
        """Adam, over both phases."""
        return annealed_adam(self.learning_rate, self.start_steps + self.steps, cosine=True)

    def phases(self):
        return (
            Phase("returns", self.start_steps, self.draw, self.update_returns, start=self.begin),
            Phase("policy", self.steps, self.draw, self.update, start=self.begin_targets),
        )

    def draw(self, dataset, *, key):
        return dataset.draw(self.batch_size, key=key)

    def begin(self, state, dataset, *, key):
        """Find the unit of values."""
        scale = jnp.std(dataset.return_)
        scale = jnp.where(scale > 0, scale, 1.0)
        return state._replace(center=jnp.mean(dataset.return_), scale=scale)

    def begin_targets(self, state, dataset, *, key):
        """The targets begin as the value of the data."""
        return state._replace(target_critics=state.critics.model)

    def update_returns(self, state, batch, *, key):
        """One step towards the discounted returns of the data."""
        y = jnp.broadcast_to(batch.return_[:, None], batch.weight.shape)
        return self.fit(state, batch, y)

    def update(self, state, batch, *, key):
        """One step towards the targets, which then follow."""
        rows = batch.rows

        def target(reward, terminal, next_observation, next_action):
            q = state.target_critics(state.normalizer(next_observation), next_action)
            values = state.center + state.scale * q
            return jax.vmap(td_target, (None, None, 0, None))(
                reward, terminal, values, self.discount
            )

        y = jax.vmap(target)(rows.reward, rows.terminal, rows.next_observation, batch.next_action)
        state, metrics = self.fit(state, batch, y)
        targets = polyak(state.target_critics, state.critics.model, self.tau)
        return state._replace(target_critics=targets), metrics

    def fit(self, state, batch, y):
        """One step of every member towards its own targets y, of shape (batch, members)."""
        s = jax.vmap(state.normalizer)(batch.rows.observation)
        y = (y - state.center) / state.scale

        def loss(critics):
            q = jax.vmap(critics)(s, batch.rows.action)
            value = jnp.mean(jnp.sum(batch.weight * (q - y) ** 2, axis=1))
            return value, {"critic_loss": value, "q": state.center + state.scale * jnp.mean(q)}

        critics, metrics = descend(state.critics, self.optimizer, loss)
        return state._replace(critics=critics), metrics

    def critic_values(self, state, observation, action):
        """Q of every member, in raw rewards, of one observation and action."""
        q = state.critics.model(state.normalizer(observation), action)
        return state.center + state.scale * q

    def act(self, state, memory, observation, *, key):
        raise NotImplementedError("critics alone do not act")


DEFAULTS = {
    "start_steps": 2000,
    "steps": 3000,
    "batch_size": 256,
    "members": 4,
    "hidden_sizes": (128, 128),
    "learning_rate": 1e-3,
    "tau": 0.05,
}
"""All but the discount, which is the task's (`shared.choice.estimate.discount_of`)."""


def fit_returns(fitted: FittedQ, rows: PolicyRows, spec: Spec, *, seed: int = 0) -> State:
    """The first phase: the value of the data, which all policies begin with."""
    state = program.init_state(fitted, spec, (seed,))
    return _run_phase(fitted, 0, state, rows, seed)


def fit_policy(fitted: FittedQ, start: State, rows: PolicyRows, *, seed: int = 0) -> State:
    """The second phase, from the end of the first one."""
    return _run_phase(fitted, 1, copied(start), rows, seed)


def values_at(
    fitted: FittedQ, state: State, observation: np.ndarray, action: np.ndarray
) -> Float[np.ndarray, "members rows"]:
    """Q of every member at these rows, in raw rewards, float64."""
    one = of_seed(state, 0)
    return np.asarray(_values(fitted, one, observation, action), np.float64).T


def _run_phase(fitted: FittedQ, index: int, state: State, rows: PolicyRows, seed: int) -> State:
    """The compiled loop of training, with one seed: its members share batches, not weights."""
    keys, steps = program.seed_keys((seed,)), fitted.phases()[index].steps
    state, _ = program.run_event(fitted, index, program.START, state, rows, keys, 0)
    for first in range(0, steps, CAPACITY):
        count = min(CAPACITY, steps - first)
        state, _ = program.run_updates(fitted, index, CAPACITY, state, rows, keys, first, count)
    return state


@partial(jax.jit, static_argnames=("fitted",))
def _values(fitted, state, observation, action):
    def value(row):
        return fitted.critic_values(state, *row)

    rows = (jnp.asarray(observation), jnp.asarray(action))
    return jax.lax.map(value, rows, batch_size=4096)
