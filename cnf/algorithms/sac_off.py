"""SAC-off: plain soft actor-critic on fixed data, the control that is expected to fail.

"Soft Actor-Critic Algorithms and Applications" (Haarnoja et al., 2018), without its
environment.

    critics   a' ~ pi(.|s')
              y = r + discount (1 - terminal) (min_i Q'_i(s', a') - alpha log pi(a'|s'))
              min  sum_i (Q_i(s, a) - y)^2                                         (5)
    actor     a~ ~ pi(.|s)
              min  alpha log pi(a~|s) - min_i Q_i(s, a~)                           (9)
    alpha     min  -log alpha (log pi(a~|s) - n)                                   (18)
    targets   Q' <- (1 - tau) Q' + tau Q

pi is the tanh of a Gaussian, n the number of action dimensions (minus the entropy
that alpha aims at).  Nothing keeps pi near the data.

Differences from the paper: no exploration; the last loss is on log alpha, as in the
authors' code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.critics import smallest_critic
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_mode, squashed_sample
from shared.ranges import Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that SAC remembers."""

    normalizer: Normalizer
    actor: Learner
    critic: Learner
    log_alpha: Learner
    target_critic: Critics


class SACOff(AbstractAlgorithm):
    """Soft actor-critic without an environment; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
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
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            Learner.create(jnp.zeros(()), self.actor_optimizer),
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

    def draw(self, dataset, *, key):
        return dataset.draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One gradient step: critics, actor, alpha, target critics."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        alpha = jnp.exp(state.log_alpha.model)
        k_next, k_actor = (jax.random.split(k, s.shape[0]) for k in jax.random.split(key))
        y = jax.vmap(self.target, (None, None, 0, 0, 0, 0))(
            state, alpha, batch.reward, batch.terminal, s_next, k_next
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, critic.model, alpha, s, k_actor),
        )
        excess = actor_metrics["log_prob"] - batch.action.shape[1]
        log_alpha, alpha_metrics = descend(
            state.log_alpha, self.actor_optimizer, lambda m: self.alpha_loss(m, excess)
        )
        state = state._replace(
            actor=actor,
            critic=critic,
            log_alpha=log_alpha,
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, critic_metrics | actor_metrics | alpha_metrics

    def target(self, state, alpha, reward, terminal, s_next, key):
        """Target y of equation 5, for one transition."""
        a_next, log_prob = squashed_sample(state.actor.model, s_next, key=key)
        next_value = jnp.min(state.target_critic(s_next, a_next)) - alpha * log_prob
        return td_target(reward, terminal, next_value, self.discount)

    def actor_loss(self, actor, critic, alpha, s, keys):
        """Equation 9 over a batch."""
        a, log_prob = jax.vmap(lambda s, k: squashed_sample(actor, s, key=k))(s, keys)
        q = jnp.min(jax.vmap(critic)(s, a), axis=1)
        loss = jnp.mean(alpha * log_prob - q)
        return loss, {"actor_loss": loss, "log_prob": jnp.mean(log_prob)}

    def alpha_loss(self, log_alpha, excess):
        """Equation 18; `excess` is the mean of log pi(a~|s) - n."""
        return -log_alpha * excess, {"alpha": jnp.exp(log_alpha)}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.actor.model
        action = squashed_mode(actor, s) if key is None else squashed_sample(actor, s, key=key)[0]
        return action, memory
