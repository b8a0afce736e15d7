"""ReBRAC: TD3+BC with cloning penalties on both sides and a modern critic.

"Revisiting the Minimalist Approach to Offline Reinforcement Learning"
(Tarasov et al., 2023).

    critics   a' = clip(pi'(s') + clip(policy_noise · N(0, 1), ±noise_clip), ±1)
              y = r + discount (1 - terminal) (min_i Q'_i(s', a')
                                               - critic_penalty |a' - a^'|^2)
              min  sum_i (Q_i(s, a) - y)^2
    actor     q = min_i Q_i(s, pi(s))
              min  -q / mean |q| + actor_penalty |pi(s) - a|^2
    targets   Q' <- (1 - tau) Q' + tau Q,  pi' likewise

a^' is the action that the data takes at s' (rows without one are not drawn), |.|^2 a
sum over dimensions; the paper's beta_1 and beta_2 are `actor_penalty` and
`critic_penalty`.  Critics are three layers deep with layer normalisation.  As in TD3,
the actor and all targets move at every `policy_delay`-th update only: `steps` counts
updates of the critics.

Differences from the paper: layers start from the usual uniform weights rather than
from those of EDAC; the first update already moves the actor (TD3 counts from one).
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
    """Everything that ReBRAC remembers; `actor_metrics` are those of the last actor update."""

    normalizer: Normalizer
    actor: Learner
    critic: Learner
    target_actor: TanhActor
    target_critic: Critics
    actor_metrics: Metrics


class ReBRAC(AbstractAlgorithm):
    """TD3 with cloning penalties in actor and critic; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of the critics")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critic_layer_norm: bool = hyperparameter("layer normalisation in the critics")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of actor and critic targets")
    policy_noise: Amount = hyperparameter("standard deviation of the target action's noise")
    noise_clip: Amount = hyperparameter("ceiling of the target action's noise")
    policy_delay: Size = hyperparameter("updates of the critics for one of actor and targets")
    actor_penalty: Amount = hyperparameter("weight of the cloning error in the actor loss")
    critic_penalty: Amount = hyperparameter("weight of the cloning error in the critic target")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_scale: Positive = hyperparameter("factor of every reward (100 in AntMaze)")

    title = "ReBRAC: TD3+BC with cloning penalties in actor and critic"
    paper = "Tarasov et al. 2023, Revisiting the Minimalist Approach (arXiv:2305.09836)"
    of_rows = False

    def init(self, spec, *, key):
        k_actor, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        actor = TanhActor(*sizes, self.actor_hidden_sizes, key=k_actor)
        critic = Critics(
            *sizes, self.critic_hidden_sizes, layer_norm=self.critic_layer_norm, key=k_critic
        )
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            actor,
            critic,
            dict.fromkeys(("actor_loss", "cloning_error"), jnp.zeros(())),
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
        return dataset.weighted(self.return_weighting).draw_sarsa(self.batch_size, key=key)

    def update(self, state, batch, *, key, step):
        """One critic update; every `policy_delay`-th also moves the actor and the targets."""
        rows, data_next = batch
        s = jax.vmap(state.normalizer)(rows.observation)
        s_next = jax.vmap(state.normalizer)(rows.next_observation)
        noise = jax.random.normal(key, rows.action.shape)
        y = jax.vmap(self.target, (None, 0, 0, 0, 0, 0))(
            state, rows.reward, rows.terminal, s_next, data_next, noise
        )
        critic, metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, rows.action, y)
        )
        state = state._replace(critic=critic)
        state = jax.lax.cond(
            step % self.policy_delay == 0, self.improve, lambda x, *_: x, state, s, rows.action
        )
        return state, metrics | state.actor_metrics

    def target(self, state, reward, terminal, s_next, data_next, noise):
        """Target y, for one transition; `data_next` is the action that the data takes at s'."""
        a_next = smoothed_action(
            state.target_actor(s_next), noise, self.policy_noise, self.noise_clip
        )
        penalty = self.critic_penalty * jnp.sum((a_next - data_next) ** 2)
        next_value = jnp.min(state.target_critic(s_next, a_next)) - penalty
        return td_target(self.reward_scale * reward, terminal, next_value, self.discount)

    def improve(self, state, s, a):
        """The delayed part of an update: actor, then both targets."""
        critic = state.critic.model
        actor, metrics = descend(
            state.actor, self.actor_optimizer, lambda m: self.actor_loss(m, critic, s, a)
        )
        return state._replace(
            actor=actor,
            target_actor=polyak(state.target_actor, actor.model, self.tau),
            target_critic=polyak(state.target_critic, critic, self.tau),
            actor_metrics=metrics,
        )

    def actor_loss(self, actor, critic, s, a):
        """The actor's loss over a batch; the scale of Q carries no gradient."""
        policy_action = jax.vmap(actor)(s)
        q = jnp.min(jax.vmap(critic)(s, policy_action), axis=1)
        scale = jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
        cloning_error = jnp.mean(jnp.sum((policy_action - a) ** 2, axis=1))
        loss = -jnp.mean(q) / scale + self.actor_penalty * cloning_error
        return loss, {"actor_loss": loss, "cloning_error": cloning_error}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, self.reward_scale)

    def act(self, state, memory, observation, *, key):
        return state.actor.model(state.normalizer(observation)), memory
