"""TD3+BC: TD3 with behaviour cloning in the actor loss, and nothing else.

"A Minimalist Approach to Offline Reinforcement Learning" (Fujimoto & Gu, 2021).

    critics   a' = clip(pi'(s') + clip(policy_noise · N(0, 1), ±noise_clip), ±1)
              y = r + discount (1 - terminal) min_i Q'_i(s', a')
              min  sum_i (Q_i(s, a) - y)^2
    actor     min  -lambda Q_1(s, pi(s)) + |pi(s) - a|^2,                         (3)
              lambda = alpha / mean |Q_1(s, pi(s))|                               (4)
    targets   Q' <- (1 - tau) Q' + tau Q,  pi' likewise

Observations are standardised (5).  As in TD3, the actor and all targets move at
every `policy_delay`-th update only: `steps` counts updates of the critics, so a
million steps are a million critic and half a million actor updates.

Differences from the paper: the first update already moves the actor (TD3 counts
from one); |.|^2 is the mean over dimensions, as in the authors' code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.critics import smallest_critic
from cnf.exploration import online_phase
from cnf.rewards import reward_scale, scaled, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, Metrics, annealed_adam, descend, polyak
from shared.models.losses import smoothed_action, td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.models.policies import TanhActor
from shared.ranges import Amount, Count, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that TD3+BC remembers; `actor_metrics` are those of the last actor update."""

    normalizer: Normalizer
    actor: Learner
    critic: Learner
    target_actor: TanhActor
    target_critic: Critics
    actor_metrics: Metrics
    reward_scale: Float[Array, ""] | None


class TD3BC(AbstractAlgorithm):
    """TD3 plus behaviour cloning; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of the critics")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critic_layer_norm: bool = hyperparameter("normalise the critics' hidden activations")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    cosine_decay: bool = hyperparameter("the actor's step size falls to 0 along a cosine")
    actor_average: Share = hyperparameter(
        "rate of the average of the actor that acts and is saved; 0 = the last actor"
    )
    discount: Share = hyperparameter("discount of future rewards")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    policy_noise: Amount = hyperparameter("standard deviation of the target action's noise")
    noise_clip: Amount = hyperparameter("ceiling of the target action's noise")
    policy_delay: Size = hyperparameter("updates of the critics for one of actor and targets")
    alpha: Amount = hyperparameter("weight of the normalised Q against cloning")
    exploration_noise: Amount = hyperparameter("standard deviation of the noise on actions online")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "TD3+BC: TD3 with a behaviour cloning term"
    paper = "Fujimoto & Gu 2021, A Minimalist Approach to Offline RL (arXiv:2106.06860)"
    observations = ("state", "pixels")
    shaped_by = {"policy": "critic_loss"}

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = TanhActor(*sizes, self.actor_hidden_sizes, key=k_actor)
        norm = self.critic_layer_norm
        critic = Critics(*sizes, self.critic_hidden_sizes, layer_norm=norm, key=k_critic)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(actor, self.actor_optimizer, average=self.actor_average),
            Learner.create(critic, self.critic_optimizer),
            actor,
            critic,
            dict.fromkeys(("actor_loss", "cloning_error"), jnp.zeros(())),
            reward_scale(spec, self.return_span),
        )

    @property
    def actor_optimizer(self):
        steps = -(-self.steps // self.policy_delay)
        return annealed_adam(self.actor_learning_rate, steps, cosine=self.cosine_decay)

    @property
    def critic_optimizer(self):
        return optax.adam(self.critic_learning_rate)

    def schedules(self):
        return ("cosine_decay",) if self.cosine_decay else ()

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update, takes_step=True),)

    def online(self):
        return online_phase(
            self, self.draw, self.update, noise=self.exploration_noise, takes_step=True
        )

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
            step % self.policy_delay == 0,
            lambda *x: self.improve(*x),
            lambda x, *_: x,
            state,
            s,
            batch.action,
        )
        return state, metrics | state.actor_metrics

    def target(self, state, reward, terminal, s_next, noise):
        """Target y, for one transition."""
        a_next = smoothed_action(
            state.target_actor(s_next), noise, self.policy_noise, self.noise_clip
        )
        next_value = jnp.min(state.target_critic(s_next, a_next))
        return td_target(scaled(reward, state.reward_scale), terminal, next_value, self.discount)

    def improve(self, state, s, a):
        """The delayed part of an update: actor, then both targets."""
        critic = state.critic.model
        actor, metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, critic, s, a),
            average=self.actor_average,
        )
        return state._replace(
            actor=actor,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic, self.tau),
            actor_metrics=metrics,
        )

    def actor_loss(self, actor, critic, s, a):
        """Equations 3 and 4 over a batch; lambda carries no gradient."""
        policy_action = jax.vmap(actor)(s)
        q = jax.vmap(critic.first)(s, policy_action)
        lambda_ = self.alpha / jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
        cloning_error = jnp.mean((policy_action - a) ** 2)
        loss = -lambda_ * jnp.mean(q) + cloning_error
        return loss, {"actor_loss": loss, "cloning_error": cloning_error}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale))

    def act(self, state, memory, observation, *, key):
        return state.actor.steady(state.normalizer(observation)), memory
