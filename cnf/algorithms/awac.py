"""AWAC: advantage-weighted actor critic.

"AWAC: Accelerating Online Reinforcement Learning with Offline Datasets"
(Nair et al., 2020), Algorithm 1 on fixed data.

    critics   y = r + discount (1 - terminal) min_i Q'_i(s', a'),  a' ~ pi(.|s')
              min  sum_i (Q_i(s, a) - y)^2                                        (9)
    actor     A = min_i Q_i(s, a) - min_i Q_i(s, a~),  a~ ~ pi(.|s)
              min  -w log pi(a|s),  w = exp(A / temperature), at most 100         (13)
    targets   Q' <- (1 - tau) Q' + tau Q

pi is a Gaussian with a state-independent standard deviation; its samples are
clipped to [-1, 1] before a critic or a simulator sees them.  With
`normalize_weights` w is a softmax over the batch times its size, the authors' way.

Differences from the paper:
    - By default weights are clipped at 100 (the common offline implementation), not
      normalised over the batch.
    - A is that of the critics before their step, as in the authors' code, not behind it:
      their values of the data are those of the critics' loss and cost nothing again.
    - Observations are standardised.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.actors import GaussianActor
from cnf.critics import smallest_critic
from cnf.exploration import online_phase
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import advantage_weight, td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.ranges import Count, Positive, Rate, Real, Share, Size, Sizes

LOG_STD_RANGE = (-20.0, 2.0)


class State(NamedTuple):
    """Everything that AWAC remembers."""

    normalizer: Normalizer
    actor: Learner
    critic: Learner
    target_critic: Critics


class AWAC(AbstractAlgorithm):
    """Advantage-weighted actor critic; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    temperature: Positive = hyperparameter("lambda of the advantage weights")
    normalize_weights: bool = hyperparameter("weights of a batch add up to its size; no ceiling")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_shift: Real = hyperparameter("added to every reward (-1 in AntMaze)")

    title = "AWAC: advantage-weighted actor critic"
    paper = "Nair et al. 2020, AWAC (arXiv:2006.09359)"
    observations = ("state", "pixels")
    shaped_by = {"policy": "critic_loss"}

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = GaussianActor(
            *sizes,
            self.actor_hidden_sizes,
            tanh_mean=False,
            log_std_range=LOG_STD_RANGE,
            key=k_actor,
        )
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            critic,
        )

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def online(self):
        return online_phase(self, self.draw, self.update)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of Algorithm 1: critics and actor, then target critics."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a = batch.action
        k_next, k_actor = jax.random.split(key)
        a_next = self._sample(state.actor.model, s_next, key=k_next)
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state.target_critic, batch.reward, batch.terminal, s_next, a_next
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, a, y)
        )
        a_policy = self._sample(state.actor.model, s, key=k_actor)
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.critic.model, s, a, a_policy),
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        state = state._replace(actor=actor, critic=critic, target_critic=target_critic)
        return state, critic_metrics | actor_metrics

    def target(self, target_critic, reward, terminal, s_next, a_next):
        """Target y of equation 9, for one transition."""
        next_value = jnp.min(target_critic(s_next, a_next))
        return td_target(reward + self.reward_shift, terminal, next_value, self.discount)

    def actor_loss(self, actor, critic, s, a, a_policy):
        """Equation 13 over a batch."""
        q_data = jnp.min(jax.vmap(critic)(s, a), axis=1)
        q_policy = jnp.min(jax.vmap(critic)(s, a_policy), axis=1)
        advantage = q_data - q_policy
        if self.normalize_weights:
            weight = advantage.size * jax.nn.softmax(advantage / self.temperature)
        else:
            weight = advantage_weight(advantage, self.temperature)
        loss = -jnp.mean(weight * jax.vmap(actor.log_prob)(s, a))
        return loss, {
            "actor_loss": loss,
            "advantage": jnp.mean(advantage),
            "weight": jnp.mean(weight),
        }

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, shift=self.reward_shift)

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.actor.model
        action = actor.mode(s) if key is None else actor.sample(s, key=key)
        return jnp.clip(action, -1.0, 1.0), memory

    def log_prob(self, state, observation, action):
        return state.actor.model.log_prob(state.normalizer(observation), action)

    def _sample(self, actor, s, *, key):
        """Policy samples for a batch of observations, in [-1, 1]."""
        keys = jax.random.split(key, s.shape[0])
        return jnp.clip(jax.vmap(lambda s, k: actor.sample(s, key=k))(s, keys), -1.0, 1.0)
