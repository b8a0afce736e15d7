"""BRAC-v: actor-critic with a KL penalty towards a cloned policy, also in the values.

"Behavior Regularized Offline Reinforcement Learning" (Wu et al., 2019), with the
value penalty and the KL divergence.

    clone     min  -log beta(a|s)
    critics   a' ~ pi(.|s')
              y = r + discount (1 - terminal) (min_i Q'_i(s', a') - penalty_scale KL(s'))  (5)
              min  sum_i (Q_i(s, a) - y)^2
    actor     a~ ~ pi(.|s)
              min  penalty_scale KL(s) - min_i Q_i(s, a~)                          (6)
    targets   Q' <- (1 - tau) Q' + tau Q

KL(s) = KL(pi(.|s) || beta(.|s)).  Both policies are the tanh of a Gaussian; the tanh
drops out of the divergence, which is that of the Gaussians and exact.

Differences from the paper:
    - The divergence in closed form in place of samples or a discriminator.
    - A fixed `penalty_scale`; the paper offers an adaptive one, too.
    - The clone is fitted by likelihood alone; the authors' code adds an entropy bonus whose
      weight holds its entropy at -n.
    - No warm start: the authors' actor only follows the clone for 20,000 updates before the
      values move it, too.
    - log-std is clipped to [-20, 2]; the authors squash it into [-5, 0].
    - The target critics move at every update.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.actors import squashed_divergence, squashed_log_prob
from cnf.critics import smallest_critic
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_mode, squashed_sample
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that BRAC-v remembers."""

    normalizer: Normalizer
    clone: Learner
    actor: Learner
    critic: Learner
    target_critic: Critics


class BRAC(AbstractAlgorithm):
    """Behaviour regularised actor-critic; fields are the hyperparameters."""

    clone_steps: Count = hyperparameter("updates of the cloned policy")
    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows an update, of both phases")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of clone and actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    clone_learning_rate: Positive = hyperparameter("Adam step size of the clone")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    penalty_scale: Amount = hyperparameter("weight of the divergence; the paper's alpha")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "BRAC-v: behaviour regularised actor-critic with a KL value penalty"
    paper = "Wu et al. 2019, Behavior Regularized Offline RL (arXiv:1911.11361)"

    def init(self, spec, *, key):
        k_clone, k_actor, k_critic = jax.random.split(key, 3)
        sizes = spec.observation_size, spec.action_size
        clone = BoundedLatentPolicy(*sizes, self.actor_hidden_sizes, key=k_clone)
        actor = BoundedLatentPolicy(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(clone, self.clone_optimizer),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            critic,
        )

    @property
    def clone_optimizer(self):
        return optax.adam(self.clone_learning_rate)

    @property
    def actor_optimizer(self):
        return optax.adam(self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def phases(self):
        clone = Phase("clone", self.clone_steps, self.draw, self.imitate, evaluates=False)
        return (clone, Phase("policy", self.steps, self.draw, self.update))

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def imitate(self, state, batch, *, key):
        """One step of maximum likelihood."""
        s = jax.vmap(state.normalizer)(batch.observation)

        def loss(clone):
            log_prob = jax.vmap(squashed_log_prob, (None, 0, 0))(clone, s, batch.action)
            return -jnp.mean(log_prob), {"clone_nll": -jnp.mean(log_prob)}

        clone, metrics = descend(state.clone, self.clone_optimizer, loss)
        return state._replace(clone=clone), metrics

    def update(self, state, batch, *, key):
        """One gradient step: critics, actor, target critics."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_next, k_actor = (jax.random.split(k, s.shape[0]) for k in jax.random.split(key))
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state, batch.reward, batch.terminal, s_next, k_next
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.clone.model, critic.model, s, k_actor),
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        state = state._replace(actor=actor, critic=critic, target_critic=target_critic)
        return state, critic_metrics | actor_metrics

    def target(self, state, reward, terminal, s_next, key):
        """Target y of equation 5, for one transition."""
        a_next, _ = squashed_sample(state.actor.model, s_next, key=key)
        kl = squashed_divergence(state.actor.model, state.clone.model, s_next)
        next_value = jnp.min(state.target_critic(s_next, a_next)) - self.penalty_scale * kl
        return td_target(reward, terminal, next_value, self.discount)

    def actor_loss(self, actor, clone, critic, s, keys):
        """Equation 6 over a batch."""
        a, _ = jax.vmap(lambda s, k: squashed_sample(actor, s, key=k))(s, keys)
        q = jnp.min(jax.vmap(critic)(s, a), axis=1)
        kl = jax.vmap(squashed_divergence, (None, None, 0))(actor, clone, s)
        loss = jnp.mean(self.penalty_scale * kl - q)
        return loss, {"actor_loss": loss, "divergence": jnp.mean(kl)}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.actor.model
        if key is None:
            return squashed_mode(actor, s), memory
        return squashed_sample(actor, s, key=key)[0], memory

    def log_prob(self, state, observation, action):
        return squashed_log_prob(state.actor.model, state.normalizer(observation), action)
