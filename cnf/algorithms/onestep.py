"""One-step RL: values of the behaviour policy, and a single improvement on them.

"Offline RL Without Off-Policy Evaluation" (Brandfonbrener et al., 2021).

    clone     min  -log beta(a|s)
    value     y = r + discount (1 - terminal) min_i Q'_i(s', a^')      (SARSA)
              min  sum_i (Q_i(s, a) - y)^2,  then  Q' <- (1 - tau) Q' + tau Q
    policy    `exponential`:  A = min_i Q_i(s, a) - mean_j min_i Q_i(s, a_j),  a_j ~ beta
                              min  -exp(A / temperature) log pi(a|s),  weights at most 100
              `reverse-kl`:   min  temperature KL(pi || beta)(s) - min_i Q_i(s, a~),  a~ ~ pi

a^' is the action that the data takes at s' (rows without one are not drawn).  Clone,
values and policy are three phases; nothing learned later flows back.  The policy
starts from the clone, and `act` plays it during the last phase.

Differences from the paper:
    - Clone and policy are the tanh of a Gaussian; the authors' are a Gaussian for the clone and
      one truncated to [-1, 1] for the policy, with a log-std in [-5, 0].  The divergence is exact
      here, where they average over 10 samples.
    - Two critics and their minimum; the authors' default is a single one (they offer both).
    - The target critics move at every update, the authors' at every second one.
    - The advantage's baseline is the mean of `samples` actions of the clone, as in their code.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.actors import squashed_divergence, squashed_log_prob
from cnf.critics import smallest_critic
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import advantage_weight, td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_mode, squashed_sample
from shared.ranges import Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that one-step RL remembers."""

    normalizer: Normalizer
    clone: Learner
    actor: Learner
    critic: Learner
    target_critic: Critics


class Onestep(AbstractAlgorithm):
    """One step of policy improvement; fields are the hyperparameters."""

    improvement: Literal["exponential", "reverse-kl"] = hyperparameter("operator of the last phase")
    clone_steps: Count = hyperparameter("updates of the cloned policy")
    value_steps: Count = hyperparameter("updates of the behaviour policy's critics")
    steps: Count = hyperparameter("updates of the policy")
    batch_size: Size = hyperparameter("rows an update, of all phases")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of clone and actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of clone and actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    temperature: Positive = hyperparameter("of the weights, or weight of the divergence")
    samples: Size = hyperparameter("actions of the clone behind the advantage's baseline")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "One-step RL: a single improvement on the behaviour policy's values"
    paper = "Brandfonbrener et al. 2021, Offline RL without off-policy evaluation (2106.08909)"
    of_rows = False

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = BoundedLatentPolicy(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(actor, self.actor_optimizer),
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
        clone = Phase("clone", self.clone_steps, self.draw, self.imitate, evaluates=False)
        value = Phase("value", self.value_steps, self.draw_sarsa, self.evaluate, evaluates=False)
        policy = Phase("policy", self.steps, self.draw, self.update, start=self.start)
        return (clone, value, policy)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def draw_sarsa(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw_sarsa(self.batch_size, key=key)

    def imitate(self, state, batch, *, key):
        """One step of maximum likelihood for the clone."""
        s = jax.vmap(state.normalizer)(batch.observation)

        def loss(clone):
            value = -jnp.mean(jax.vmap(squashed_log_prob, (None, 0, 0))(clone, s, batch.action))
            return value, {"clone_nll": value}

        clone, metrics = descend(state.clone, self.actor_optimizer, loss)
        return state._replace(clone=clone), metrics

    def evaluate(self, state, batch, *, key):
        """One step of SARSA for the critics, and of their targets."""
        rows, data_next = batch
        s = jax.vmap(state.normalizer)(rows.observation)
        s_next = jax.vmap(state.normalizer)(rows.next_observation)
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state.target_critic, rows.reward, rows.terminal, s_next, data_next
        )
        critic, metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, rows.action, y)
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        return state._replace(critic=critic, target_critic=target_critic), metrics

    def target(self, target_critic, reward, terminal, s_next, data_next):
        """Target y, for one transition."""
        next_value = jnp.min(target_critic(s_next, data_next))
        return td_target(reward, terminal, next_value, self.discount)

    def start(self, state, dataset, *, key):
        """The policy starts from the clone, with a fresh optimizer."""
        return state._replace(actor=Learner.create(state.clone.model, self.actor_optimizer))

    def update(self, state, batch, *, key):
        """One step of the improvement; clone and critics stay as they are."""
        s = jax.vmap(state.normalizer)(batch.observation)
        keys = jax.random.split(key, s.shape[0])
        losses = {"exponential": self.exponential_loss, "reverse-kl": self.reverse_kl_loss}

        def loss(actor):
            return losses[self.improvement](actor, state, s, batch.action, keys)

        actor, metrics = descend(state.actor, self.actor_optimizer, loss)
        return state._replace(actor=actor), metrics

    def exponential_loss(self, actor, state, s, a, keys):
        """Exponentially weighted imitation over a batch."""
        critic, clone = state.critic.model, state.clone.model

        def baseline(s, key):
            sample_keys = jax.random.split(key, self.samples)
            actions, _ = jax.vmap(lambda k: squashed_sample(clone, s, key=k))(sample_keys)
            return jnp.mean(jnp.min(jax.vmap(critic, (None, 0))(s, actions), axis=1))

        q = jnp.min(jax.vmap(critic)(s, a), axis=1)
        advantage = q - jax.vmap(baseline)(s, keys)
        weight = advantage_weight(advantage, self.temperature)
        log_prob = jax.vmap(squashed_log_prob, (None, 0, 0))(actor, s, a)
        loss = -jnp.mean(weight * log_prob)
        return loss, {"actor_loss": loss, "advantage": jnp.mean(advantage)}

    def reverse_kl_loss(self, actor, state, s, a, keys):
        """Values of the policy's actions against its divergence from the clone, over a batch."""
        actions, _ = jax.vmap(lambda s, k: squashed_sample(actor, s, key=k))(s, keys)
        q = jnp.min(jax.vmap(state.critic.model)(s, actions), axis=1)
        kl = jax.vmap(squashed_divergence, (None, None, 0))(actor, state.clone.model, s)
        loss = jnp.mean(self.temperature * kl - q)
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
