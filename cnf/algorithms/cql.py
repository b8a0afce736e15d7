"""CQL: conservative Q-learning, SAC with values of unseen actions pushed down.

"Conservative Q-Learning for Offline Reinforcement Learning" (Kumar et al., 2020),
the variant CQL(H).

    critics   y = r + discount (1 - terminal) min_i Q'_i(s', a'),  a' ~ pi(.|s')
              gap_i = log sum_j exp(Q_i(s, a_j) - log p_j) - Q_i(s, a)
              min  sum_i (Q_i(s, a) - y)^2 + penalty_scale · alpha' · gap_i       (4)
              a_j: `samples` actions each of U(-1, 1), pi(.|s) and pi(.|s'), with
              densities p_j (importance sampling, appendix F)
    alpha'    1, or with a `target_gap` (Lagrange, (30))
              min  -alpha' · penalty_scale · mean_i (gap_i - target_gap)
    actor     a~ ~ pi(.|s)
              min  alpha log pi(a~|s) - min_i Q_i(s, a~)
    alpha     min  -log alpha (log pi(a~|s) - n)
    targets   Q' <- (1 - tau) Q' + tau Q

All losses of an update see the networks as they were before it.  With
`max_target` a' is the best of `samples` policy actions.  Gaps below `gap_floor` are
not pushed further down.  The entropy is left out of y, as in the authors' code.  From pixels the
squared error of the critics alone trains the encoder.

Differences from the paper:
    - Values and options follow the common implementation on D4RL's v2 data.
    - Networks start from the usual uniform weights, and log-std has no offset.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cnf.actors import squashed_log_prob
from cnf.critics import smallest_critic
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import BoundedLatentPolicy, squashed_mode, squashed_sample
from shared.ranges import Amount, Count, Positive, Rate, Real, Share, Size, Sizes

MAX_MULTIPLIER = 1e6


class State(NamedTuple):
    """Everything that CQL remembers; `log_multiplier` is log alpha', None without Lagrange."""

    normalizer: Normalizer
    actor: Learner
    critic: Learner
    log_alpha: Learner
    log_multiplier: Learner | None
    target_critic: Critics


class CQL(AbstractAlgorithm):
    """Conservative Q-learning; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor and of log alpha")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics and of alpha'")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    penalty_scale: Amount = hyperparameter("weight of the gap; the papers' alpha")
    samples: Size = hyperparameter("actions from each of the three proposals")
    target_gap: Real | None = hyperparameter("gap that alpha' aims at; null = alpha' is 1")
    gap_floor: Real | None = hyperparameter("smallest gap that counts; null = any")
    max_target: bool = hyperparameter("bootstrap from the best of several policy actions")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_scale: Positive = hyperparameter("factor of every reward (10 in AntMaze)")
    reward_shift: Real = hyperparameter("added to every scaled reward (-5 in AntMaze)")

    title = "CQL: conservative Q-learning"
    paper = "Kumar et al. 2020, Conservative Q-Learning (arXiv:2006.04779)"
    observations = ("state", "pixels")
    shaped_by = {"policy": "critic_loss"}

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = BoundedLatentPolicy(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic)
        lagrange = self.target_gap is not None
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            Learner.create(jnp.zeros(()), self.actor_optimizer),
            Learner.create(jnp.ones(()), self.critic_optimizer) if lagrange else None,
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
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """Critics, alpha', actor and alpha, each on the networks of before; then the targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a = batch.action
        k_next, k_propose, k_actor = (
            jax.random.split(k, s.shape[0]) for k in jax.random.split(key, 3)
        )
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state, batch.reward, batch.terminal, s_next, k_next
        )
        proposals = jax.vmap(self.propose, (None, 0, 0, 0))(state.actor.model, s, s_next, k_propose)
        multiplier = self.multiplier(state.log_multiplier)
        critic, critic_metrics = descend(
            state.critic,
            self.critic_optimizer,
            lambda m: self.critic_loss(m, multiplier, s, a, y, proposals),
        )
        alpha = jnp.exp(state.log_alpha.model)
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.critic.model, alpha, s, k_actor),
        )
        excess = actor_metrics["log_prob"] - a.shape[1]
        log_alpha, alpha_metrics = descend(
            state.log_alpha, self.actor_optimizer, lambda m: self.alpha_loss(m, excess)
        )
        state = state._replace(
            actor=actor,
            critic=critic,
            log_alpha=log_alpha,
            log_multiplier=self.adapt(state.log_multiplier, critic_metrics["gap"]),
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, critic_metrics | actor_metrics | alpha_metrics

    def target(self, state, reward, terminal, s_next, key):
        """Target y, for one transition."""
        count = self.samples if self.max_target else 1
        a_next, _ = jax.vmap(lambda k: squashed_sample(state.actor.model, s_next, key=k))(
            jax.random.split(key, count)
        )
        q = jax.vmap(state.target_critic, (None, 0))(s_next, a_next)
        next_value = jnp.max(jnp.min(q, axis=1))
        scaled = self.reward_scale * reward + self.reward_shift
        return td_target(scaled, terminal, next_value, self.discount)

    def propose(self, actor, s, s_next, key):
        """Actions a_j and log-densities log p_j of the three proposals, for one transition."""
        k_uniform, k_now, k_next = jax.random.split(key, 3)

        def sample(observation, key):
            keys = jax.random.split(key, self.samples)
            return jax.vmap(lambda k: squashed_sample(actor, observation, key=k))(keys)

        now, log_now = sample(s, k_now)
        later, log_later = sample(s_next, k_next)
        uniform = jax.random.uniform(k_uniform, now.shape, minval=-1.0, maxval=1.0)
        log_uniform = jnp.full_like(log_now, -uniform.shape[1] * jnp.log(2.0))
        return jnp.concatenate([uniform, now, later]), jnp.concatenate(
            [log_uniform, log_now, log_later]
        )

    def critic_loss(self, critic, multiplier, s, a, y, proposals):
        """Equation 4 over a batch."""
        error, metrics = td_loss(critic, s, a, y)
        gaps = jax.vmap(self.gap, (None, 0, 0, 0))(critic, s, a, proposals)
        gap = jnp.mean(jnp.sum(gaps, axis=1))
        loss = error + self.penalty_scale * multiplier * gap
        return loss, metrics | {"gap": gap / gaps.shape[1]}

    def gap(self, critic, s, a, proposals):
        """How far a soft maximum of Q_i lies above Q_i(s, a), for one transition."""
        actions, log_density = proposals
        q = jax.vmap(critic, (None, 0))(s, actions)
        gap = jax.nn.logsumexp(q - log_density[:, None], axis=0) - critic(s, a)
        return gap if self.gap_floor is None else jnp.maximum(gap, self.gap_floor)

    def multiplier(self, log_multiplier):
        """Weight alpha' of the gap."""
        if log_multiplier is None:
            return jnp.ones(())
        return jnp.minimum(jnp.exp(log_multiplier.model), MAX_MULTIPLIER)

    def adapt(self, log_multiplier, gap):
        """One step of alpha' towards `target_gap` (equation 30); `gap` is the mean over critics."""
        if log_multiplier is None:
            return None

        def loss(m):
            weight = jnp.minimum(jnp.exp(m), MAX_MULTIPLIER)
            return -weight * self.penalty_scale * (gap - self.target_gap), {}

        return descend(log_multiplier, self.critic_optimizer, loss)[0]

    def actor_loss(self, actor, critic, alpha, s, keys):
        """SAC's actor loss over a batch."""
        a, log_prob = jax.vmap(lambda s, k: squashed_sample(actor, s, key=k))(s, keys)
        q = jnp.min(jax.vmap(critic)(s, a), axis=1)
        loss = jnp.mean(alpha * log_prob - q)
        return loss, {"actor_loss": loss, "log_prob": jnp.mean(log_prob)}

    def alpha_loss(self, log_alpha, excess):
        """SAC's temperature loss; `excess` is the mean of log pi(a~|s) - n."""
        return -log_alpha * excess, {"alpha": jnp.exp(log_alpha)}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, self.reward_scale, self.reward_shift)

    def act(self, state, memory, observation, *, key):
        s, actor = state.normalizer(observation), state.actor.model
        action = squashed_mode(actor, s) if key is None else squashed_sample(actor, s, key=key)[0]
        return action, memory

    def log_prob(self, state, observation, action):
        return squashed_log_prob(state.actor.model, state.normalizer(observation), action)
