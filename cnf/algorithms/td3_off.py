"""TD3-off: plain TD3 on fixed data, the control that is expected to fail.

"Addressing Function Approximation Error in Actor-Critic Methods" (Fujimoto et al.,
2018), Algorithm 1 without its environment.

    critics   a' = clip(pi'(s') + clip(policy_noise · N(0, 1), ±noise_clip), ±1)
              y = r + discount (1 - terminal) min_i Q'_i(s', a')
              min  sum_i (Q_i(s, a) - y)^2
    actor     min  -Q_1(s, pi(s))
    targets   Q' <- (1 - tau) Q' + tau Q,  pi' likewise

Nothing keeps pi near the data, so Q is asked about actions nobody has seen.  As in
the paper, the actor and all targets move at every `policy_delay`-th update only:
`steps` counts updates of the critics.

Differences from the paper: no exploration; the first update already moves the actor.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.critics import smallest_critic
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, Metrics, descend, polyak
from shared.models.losses import smoothed_action, td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import TanhActor
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that TD3 remembers; `actor_metrics` are those of the last actor update."""

    normalizer: Normalizer
    actor: Learner
    critic: Learner
    target_actor: TanhActor
    target_critic: Critics
    actor_metrics: Metrics


class TD3Off(AbstractAlgorithm):
    """TD3 without an environment; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of the critics")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    policy_noise: Amount = hyperparameter("standard deviation of the target action's noise")
    noise_clip: Amount = hyperparameter("ceiling of the target action's noise")
    policy_delay: Size = hyperparameter("updates of the critics for one of actor and targets")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "TD3-off: TD3 on fixed data, a failing control"
    paper = "Fujimoto et al. 2018, Addressing Function Approximation Error (arXiv:1802.09477)"

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = TanhActor(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            actor,
            critic,
            {"actor_loss": jnp.zeros(())},
        )

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update, takes_step=True),)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key, step):
        """One critic update; every `policy_delay`-th also moves the actor and the targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        noise = jax.random.normal(key, batch.action.shape)
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state, batch.reward, batch.terminal, s_next, noise
        )
        critic, metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        state = state._replace(critic=critic)
        state = jax.lax.cond(
            step % self.policy_delay == 0, lambda *x: self.improve(*x), lambda x, *_: x, state, s
        )
        return state, metrics | state.actor_metrics

    def target(self, state, reward, terminal, s_next, noise):
        """Target y, for one transition."""
        a_next = smoothed_action(
            state.target_actor(s_next), noise, self.policy_noise, self.noise_clip
        )
        next_value = jnp.min(state.target_critic(s_next, a_next))
        return td_target(reward, terminal, next_value, self.discount)

    def improve(self, state, s):
        """The delayed part of an update: actor, then both targets."""
        critic = state.critic.model
        actor, metrics = descend(
            state.actor, self.actor_optimizer, lambda m: self.actor_loss(m, critic, s)
        )
        return state._replace(
            actor=actor,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic, self.tau),
            actor_metrics=metrics,
        )

    def actor_loss(self, actor, critic, s):
        """The deterministic policy gradient over a batch."""
        loss = -jnp.mean(jax.vmap(critic.first)(s, jax.vmap(actor)(s)))
        return loss, {"actor_loss": loss}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def act(self, state, memory, observation, *, key):
        return state.actor.model(state.normalizer(observation)), memory
