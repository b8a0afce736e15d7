"""IQL: implicit Q-learning, which never asks a critic about an action outside the data.

"Offline Reinforcement Learning with Implicit Q-Learning" (Kostrikov et al., 2021),
Algorithm 1.

    value     u = min_i Q'_i(s, a) - V(s)
              min  |expectile - 1(u < 0)| u^2                                     (5)
    actor     A = min_i Q'_i(s, a) - V(s),  with the V just updated
              min  -exp(A / temperature) log pi(a|s),  weights at most 100        (7)
    critics   y = r + discount (1 - terminal) V(s')
              min  sum_i (Q_i(s, a) - y)^2                                        (6)
    targets   Q' <- (1 - tau) Q' + tau Q

pi is a Gaussian with a tanh mean and a state-independent standard deviation;
`temperature` is the paper's 1/beta.  `return_span` scales rewards so that the best
and the worst episode of the data lie that far apart (1000 in locomotion), and
`reward_shift` is added to every reward (-1 in AntMaze).  Observations are not
normalised.  Online, actions are samples of pi, and the actor's step size is back at its
full value.

Differences from the paper: none known; order of updates, weight ceiling,
orthogonal initialisation and the actor's cosine schedule are the authors' code.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.actors import GaussianActor
from cnf.exploration import online_phase
from cnf.rewards import reward_scale, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, Metrics, annealed_adam, descend, polyak
from shared.models.losses import advantage_weight, standardized, td_loss, td_target
from shared.models.networks import MLP, Critics
from shared.ranges import Count, DropRate, Level, Positive, Rate, Real, Share, Size, Sizes
from shared.types import Scalar

LOG_STD_RANGE = (-5.0, 2.0)
ORTHOGONAL_GAIN = 2**0.5


class Value(eqx.Module):
    """V(s), one number for one observation."""

    network: MLP

    def __call__(self, observation: Float[Array, "observation"]) -> Float[Array, ""]:
        return self.network(observation)[0]


class State(NamedTuple):
    """Everything that IQL remembers."""

    reward_scale: Float[Array, ""]
    actor: Learner
    critic: Learner
    value: Learner
    target_critic: Critics


class IQL(AbstractAlgorithm):
    """Implicit Q-learning; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    value_hidden_sizes: Sizes = hyperparameter("hidden layers of the value")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    value_learning_rate: Positive = hyperparameter("Adam step size of the value")
    cosine_decay: bool = hyperparameter("the actor's step size falls to 0 along a cosine")
    actor_average: Share = hyperparameter(
        "rate of the average of the actor that acts and is saved; 0 = the last actor"
    )
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    expectile: Level = hyperparameter("of the value regression; 0.5 is the mean")
    temperature: Positive = hyperparameter("of the advantage weights; the paper's 1/beta")
    normalize_advantages: bool = hyperparameter("standardise the advantages of a batch")
    dropout: DropRate = hyperparameter("share of the actor's hidden units dropped in training")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    reward_shift: Real = hyperparameter("added to every reward after scaling")

    title = "IQL: implicit Q-learning by expectile regression"
    paper = "Kostrikov et al. 2021, Offline RL with Implicit Q-Learning (arXiv:2110.06169)"
    observations = ("state", "pixels")
    shaped_by = {"policy": "critic_loss"}

    def init(self, spec, *, key):
        k_actor, k_critic, k_value = jax.random.split(key, 3)
        actor = GaussianActor(
            spec.observation_size,
            spec.action_size,
            self.actor_hidden_sizes,
            tanh_mean=True,
            log_std_range=LOG_STD_RANGE,
            dropout=self.dropout,
            orthogonal=ORTHOGONAL_GAIN,
            key=k_actor,
        )
        sizes, start = (spec.observation_size, spec.action_size), {"orthogonal": ORTHOGONAL_GAIN}
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic, **start)
        value = Value(MLP(sizes[0], 1, self.value_hidden_sizes, key=k_value, **start))
        return State(
            unit(reward_scale(spec, self.return_span)),
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            Learner.create(value, self.value_optimizer),
            critic,
        )

    @property
    def actor_optimizer(self):
        return annealed_adam(self.actor_learning_rate, self.steps, cosine=self.cosine_decay)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    @property
    def value_optimizer(self):
        return optax.adam(self.value_learning_rate)

    def schedules(self):
        return ("cosine_decay",) if self.cosine_decay else ()

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def online(self):
        return online_phase(self, self.draw, self.update)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 1: value, actor, critics, target critics."""
        s, a = batch.observation, batch.action
        q = jnp.min(jax.vmap(state.target_critic)(s, a), axis=1)
        value, value_metrics = descend(
            state.value, self.value_optimizer, lambda m: expectile_loss(m, s, q, self.expectile)
        )
        advantage = q - jax.vmap(value.model)(s)
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, s, a, advantage, key=key),
            average=self.actor_average,
        )
        y = jax.vmap(self.target, (None, None, 0, 0, 0))(
            state, value.model, batch.reward, batch.terminal, batch.next_observation
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, a, y)
        )
        state = state._replace(
            actor=actor,
            critic=critic,
            value=value,
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, value_metrics | actor_metrics | critic_metrics

    def actor_loss(self, actor, s, a, advantage, *, key):
        """Equation 7 over a batch; `key` drives the dropout."""
        keys = jax.random.split(key, s.shape[0])
        log_prob = jax.vmap(lambda s, a, k: actor.log_prob(s, a, key=k))(s, a, keys)
        judged = standardized(advantage) if self.normalize_advantages else advantage
        weight = advantage_weight(judged, self.temperature)
        loss = -jnp.mean(weight * log_prob)
        return loss, {
            "actor_loss": loss,
            "advantage": jnp.mean(advantage),
            "weight": jnp.mean(weight),
        }

    def target(self, state, value, reward, terminal, s_next):
        """Target y of equation 6, for one transition."""
        scaled = state.reward_scale * reward + self.reward_shift
        return td_target(scaled, terminal, value(s_next), self.discount)

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, state.reward_scale, self.reward_shift)

    def critic_value(self, state, observation, action):
        return jnp.min(state.critic.model(observation, action))

    def act(self, state, memory, observation, *, key):
        actor = state.actor.steady
        action = actor.mode(observation) if key is None else actor.sample(observation, key=key)
        return jnp.clip(action, -1.0, 1.0), memory

    def log_prob(self, state, observation, action):
        return state.actor.steady.log_prob(observation, action)


def expectile_loss(
    value: Value,
    s: Float[Array, "batch observation"],
    q: Float[Array, "batch"],
    expectile: Scalar,
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 5 over a batch: asymmetric regression of V(s) onto Q(s, a)."""
    v = jax.vmap(value)(s)
    u = q - v
    weight = jnp.where(u < 0, 1 - expectile, expectile)
    loss = jnp.mean(weight * u**2)
    return loss, {"value_loss": loss, "v": jnp.mean(v)}
