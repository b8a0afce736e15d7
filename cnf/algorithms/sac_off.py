"""SAC-off: plain soft actor-critic on fixed data, the control that is expected to fail.

"Soft Actor-Critic Algorithms and Applications" (Haarnoja et al., 2018), without its
environment.

    -> shared/models/soft_actor_critic.py, equation by equation

pi is the tanh of a Gaussian.  Nothing keeps it near the data.

Differences from the paper: no exploration; those of the core that it shares with the others.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.actors import squashed_log_prob
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_mode, squashed_sample
from shared.models.soft_actor_critic import Optimizers, SoftActorCritic
from shared.ranges import Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that SAC remembers."""

    normalizer: Normalizer
    agent: SoftActorCritic


class SACOff(AbstractAlgorithm):
    """Soft actor-critic without an environment; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor and of log alpha")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "SAC-off: soft actor-critic on fixed data, a failing control"
    paper = "Haarnoja et al. 2018, Soft Actor-Critic (arXiv:1812.05905)"

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = BoundedLatentPolicy(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            SoftActorCritic.create(actor, critic, self.optimizers),
        )

    @property
    def optimizers(self):
        adam = optax.adam(self.actor_learning_rate)
        return Optimizers(adam, optax.adam(self.critic_learning_rate), adam)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One gradient step: critics, actor, alpha, target critics."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        agent, alpha = state.agent, state.agent.alpha
        k_next, k_actor = jax.random.split(key)
        options = {"alpha": alpha, "discount": self.discount, "key": k_next}
        y = agent.targets(batch.reward, batch.terminal, s_next, **options)
        options = {"alpha": alpha, "tau": self.tau, "key": k_actor}
        agent, metrics = agent.improve(self.optimizers, s, batch.action, y, **options)
        return state._replace(agent=agent), metrics

    def critic_value(self, state, observation, action):
        return jnp.min(state.agent.critic.model(state.normalizer(observation), action))

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.agent.actor.model
        action = squashed_mode(actor, s) if key is None else squashed_sample(actor, s, key=key)[0]
        return action, memory

    def log_prob(self, state, observation, action):
        return squashed_log_prob(state.agent.actor.model, state.normalizer(observation), action)
