"""LOMPO: off-policy actor-critic on the latent states of a world model, real and imagined.

"Offline Reinforcement Learning from Images with Latent Space Models" (Rafailov et
al., 2021).

    model     min  -ELBO of observations, rewards, continuations  -> clap/model/world_model.py
    priors    p_k(s' | h'), k = 1..prior_members; one is drawn a step, in training
              and in dreams                                       -> clap/model/prior_ensemble.py
    rows      (f, a, r, f'), f = [h, s]:
              recorded    posterior states along windows, their actions and rewards
              imagined    a = pi(f) + exploration_noise · N(0, 1), from posterior states,
                          r = r(h', s') - penalty_scale · unit · std_k log p_k(s' | h')
    critics   y = r + discount · c · min_i Q'_i(f', pi(f'))
              min  sum_i (Q_i(f, a) - y)^2
    actor     max  min_i Q_i(f, pi(f))
    targets   Q' <- (1 - tau) Q' + tau Q

c = 0 behind a recorded fatal action, 1 elsewhere, and in dreams the model's
probability to go on; `batch_size` rows are recorded and as many imagined.  pi is
deterministic, a tanh.  Nothing but the penalty keeps it near the data; unit = 1, with
`penalty_unit: data` as in `clap/penalty.py`.

Differences from the paper:
    - There are no buffers of latent rows.  Recorded ones are inferred from `windows` fresh
      windows at every update, imagined ones dreamed by the present actor from their states
      and used once; theirs are kept for long, so that old actors' rows are among them.
    - Its lower bound subtracts the variance of log p_k, its code this deviation; the number
      is the code's.
    - `penalty_unit: data` is ours: one penalty for models of all sizes.
    - Rows behind the end of a dreamed episode count as much as it is likely to go on; theirs
      end where this is less than a half.
    - [s, a] enter the GRU as they are: theirs pass a dense layer first.  The network of one member
      has all of `hidden_sizes` (theirs one layer), and so have all heads (theirs two or three);
      hidden activations are SELU (ReLU in actor and critics) where theirs are ELU.
    - Means of states are squashed to ±`MEAN_LIMIT` (clap/model/states.py).
    - The deterministic policy acts on the likeliest posterior state, theirs on a sampled one; ours
      samples the state, too, where a sampled policy is asked for.
    - Critics judge [h, s], which no single observation tells: there is no `critic_value`.
    - `stochastic_kind: discrete` (log p_k of the one-hot vectors), states as observations,
      balanced KLs and `learned_std` are our own options.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clap.dreamer import AbstractDreamer, reusable_model
from clap.dreams import draw_starts
from clap.latent_rows import Rows, draw_recorded, join, rows_of_dreams
from clap.model.latent_actions import DirectActions
from clap.model.prior_ensemble import draw_members, log_prob_spread
from clap.model.world_model import normalized
from clap.penalty import PenaltyUnit, start_of
from clap.recorded import Recorded
from shared.algorithm import hyperparameter
from shared.models.learner import Learner, clipped_adam, descend, initialise, polyak
from shared.models.networks import Critics, Normalizer
from shared.models.policies import TanhActor
from shared.ranges import Amount, Positive, Rate, Size, Sizes


class State(NamedTuple):
    """Everything that LOMPO remembers."""

    normalizer: Normalizer
    world_model: Learner
    actor: Learner
    critic: Learner
    target_critic: Critics
    penalty_unit: Float[Array, ""]


class LOMPO(AbstractDreamer):
    """Latent offline model-based policy optimisation; fields are the hyperparameters."""

    reusable = reusable_model("prior_members")

    prior_members: Size = hyperparameter("priors in the ensemble")
    penalty_scale: Amount = hyperparameter("weight of the spread of log p(s') in dreamed rewards")
    penalty_unit: PenaltyUnit = hyperparameter(
        "unit of the penalty; data = a mean reward for the mean spread along held-out windows"
    )
    windows: Size = hyperparameter("windows an update, whose states give the rows")
    batch_size: Size = hyperparameter("recorded rows an update, and imagined ones")
    horizon: Size = hyperparameter("actions in a dream")
    exploration_noise: Amount = hyperparameter("standard deviation of the noise on dreamed actions")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    agent_clip: Positive = hyperparameter("ceiling of the gradient norms of actor and critics")
    tau: Rate = hyperparameter("Polyak rate of the target critics")

    title = "LOMPO: actor-critic on latent states, recorded and dreamed with a penalty"
    paper = "Rafailov et al. 2021, Offline RL from Images with Latent Models (arXiv:2012.11547)"

    def init(self, spec, *, key):
        k_model, k_actor, k_critic = jax.random.split(key, 3)
        model = self.make_model(spec, prior_members=self.prior_members, key=k_model)
        size, n_action = model.rssm.visible_size, spec.action_size

        def make_actor(*, key):
            return TanhActor(size, n_action, self.actor_hidden_sizes, key=key)

        def make_critic(*, key):
            return Critics(size, n_action, self.critic_hidden_sizes, key=key)

        critic = initialise(make_critic, key=k_critic)
        return State(
            Normalizer.of(spec),
            Learner.create(model, self.model_optimizer),
            Learner.create(initialise(make_actor, key=k_actor), self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            critic,
            jnp.ones(()),
        )

    def make_actions(self, feature_size, action_size, *, key):
        return DirectActions(action_size)

    @property
    def actor_optimizer(self):
        return clipped_adam(self.agent_clip, self.actor_learning_rate)

    @property
    def critic_optimizer(self):
        return clipped_adam(self.agent_clip, self.critic_learning_rate)

    def phases(self):
        return (self.model_phase(evaluates=False), self.agent_phase(start=start_of(self)))

    def draw_agent(self, dataset, *, key):
        return Recorded.draw(dataset, self.windows, self.window, by_episode=False, key=key)

    def update_agent(self, state, batch, *, key):
        """Rows of both kinds, then one step of critics, actor and targets."""
        rows, metrics = self.rows(state, normalized(state.normalizer, batch.windows), key=key)
        target = jax.vmap(lambda row: self.target(state, row))(rows)
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: self.critic_loss(m, rows, target)
        )
        actor, actor_metrics = descend(
            state.actor, self.actor_optimizer, lambda m: self.actor_loss(m, critic.model, rows)
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        state = state._replace(actor=actor, critic=critic, target_critic=target_critic)
        return state, metrics | critic_metrics | actor_metrics

    def rows(self, state, batch, *, key):
        """`batch_size` recorded rows and as many imagined ones."""
        k_states, k_recorded, k_starts, k_dreams = jax.random.split(key, 4)
        model = state.world_model.model
        latents = model.states(batch, key=k_states)
        seen = model.rssm.visible(latents)
        recorded = draw_recorded(seen, batch, self.batch_size, key=k_recorded)
        starts = draw_starts(latents, batch, -(-self.batch_size // self.horizon), key=k_starts)
        behind, actions = self.dreams(state, starts, key=k_dreams)
        reward = jax.vmap(jax.vmap(model.reward))(behind.feature)
        penalty = jax.vmap(jax.vmap(partial(self.penalty, model)))(behind)
        imagined = rows_of_dreams(
            jnp.concatenate([model.rssm.visible(starts)[:, None], model.rssm.visible(behind)], 1),
            actions,
            reward - self.penalty_scale * state.penalty_unit * penalty,
            jax.vmap(jax.vmap(model.continuation))(behind.feature),
            self.batch_size,
        )
        metrics = {"dream_reward": jnp.mean(reward), "penalty": jnp.mean(penalty)}
        return join(recorded, imagined), metrics

    def dreams(self, state, starts, *, key):
        """States and the actions that led there, from each start; no gradient passes.

        At each step one prior speaks in all dreams.
        """
        k_members, k_states, k_actions = jax.random.split(key, 3)
        core, actor = state.world_model.model.rssm, state.actor.model
        shape = starts.stochastic.shape[0], self.horizon
        members = draw_members(self.prior_members, self.horizon, key=k_members)
        noise = core.states.noise(*shape, key=k_states)
        exploration = jax.random.normal(k_actions, (*shape, core.from_action.in_features))

        def choose(feature, noise):
            action = jnp.clip(actor(feature) + self.exploration_noise * noise, -1.0, 1.0)
            return action, action

        def one(start, noise, exploration):
            return core.imagine(start, choose, exploration, noise, members)

        return jax.vmap(one)(starts, noise, exploration)

    def penalty(self, model, latent):
        """How differently likely the priors of h take one state's s for."""
        return log_prob_spread(model.rssm.priors(latent.deterministic), latent.stochastic)

    def target(self, state, row):
        """Target y of one row."""
        next_action = state.actor.model(row.next_feature)
        next_value = jnp.min(state.target_critic(row.next_feature, next_action))
        return row.reward + self.discount * row.continuation * next_value

    def critic_loss(self, critic, rows: Rows, y):
        q = jax.vmap(critic)(rows.feature, rows.action)
        loss = jnp.mean(rows.weight * jnp.sum((q - y[:, None]) ** 2, axis=1))
        return loss, {"critic_loss": loss, "q": jnp.mean(q)}

    def actor_loss(self, actor, critic, rows: Rows):
        value = jax.vmap(lambda feature: value_of(actor, critic, feature))(rows.feature)
        loss = -jnp.mean(rows.weight * value)
        return loss, {"actor_loss": loss, "value": jnp.mean(value)}

    def value(self, state, feature):
        return value_of(state.actor.model, state.critic.model, feature)

    def dream_ends(self, state, starts, *, key):
        behind, _ = self.dreams(state, starts, key=key)
        return jax.tree.map(lambda x: x[:, -1], behind)

    def choose(self, state, feature, *, key):
        return state.actor.model(feature)


def value_of(actor, critic, feature):
    """min_i Q_i(f, pi(f)) of one feature."""
    return jnp.min(critic(feature, actor(feature)))
