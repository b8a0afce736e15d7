"""Offline DV2: an agent trained in the dreams of a plain world model, which doubt makes expensive.

"Challenges and Opportunities in Offline Reinforcement Learning from Visual
Observations" (Lu et al., 2023), section 4: DreamerV2 on fixed data.

    model     min  -ELBO of observations, rewards, continuations, its state's KL
              balanced and with free nats                -> clap/model/world_model.py
    priors    p_k(s' | h'), k = 1..prior_members; one is drawn a step, in training
              and in dreams                              -> clap/model/prior_ensemble.py
    reward    r~ = r(h', s') - penalty_scale · unit · mean_k ‖mu_k(h') - mean_j mu_j(h')‖
    values    min  (V(h, s) - G)²,  G = lambda return of r~ in a dream
    actor     max  mean of G + entropy_scale · entropy of the policy, by
              back-propagation through rewards, penalties, values and dynamics
    targets   V' <- (1 - tau) V' + tau V, in the place of V inside G

h', s' = the state behind an action; mu_k = mean of p_k, of one-hot variables
(`stochastic_kind: discrete`) the vector of their probabilities; G = `lambda_returns`.
The policy is the tanh of a Gaussian.  Nothing but the penalty keeps it near the data;
unit = 1, with `penalty_unit: data` as in `clap/penalty.py`.

Differences from the paper:
    - States are Gaussian, as in C-LAP's comparison, and discrete ones an option.
    - The penalty, a mean of norms, is that of the authors' code, and so is its number;
      `penalty_unit: data` is ours: one penalty for models of all sizes.
    - [s, a] enter the GRU as they are: theirs pass a dense layer first.  The GRU has no layer norm,
      the prior of one member has all of `hidden_sizes` (theirs one layer of 200), hidden
      activations are SELU (ReLU in the actor) where theirs are ELU, weights do not decay.
    - Means of states are squashed to ±`MEAN_LIMIT` (clap/model/states.py).
    - The KL's free nats are those of each state, not of a batch's mean.
    - The policy is a tanh-Gaussian, theirs a truncated one.  Theirs stops the gradient that
      reaches its input; here it passes through the whole dream.
    - A step of a dream counts by the probability that the episode lasts until it; theirs also by
      the discount until it.
    - The target moves a little at every update, theirs is a copy at every hundredth.
    - Dreams start at `starts` states drawn from the windows, not at all of them, and an
      episode can end within a dream (they learn no ends on these tasks).
    - The deterministic policy acts on the likeliest posterior state; theirs samples the state and
      takes the actor's mode there.
    - States as observations (they have pictures alone): `learned_std` is our own.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clap.agent import Agent, Values, ValueUnits, agent_adam
from clap.dreamer import AbstractDreamer, reusable_model
from clap.dreams import draw_starts, dream_all, dream_losses
from clap.model.latent_actions import DirectActions
from clap.model.prior_ensemble import draw_members, mean_disagreement
from clap.model.world_model import normalized
from clap.penalty import PenaltyUnit, start_of
from clap.recorded import Recorded
from shared.algorithm import hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.networks import Normalizer
from shared.ranges import Amount, Positive, Rate, Share, Size, Sizes


class State(NamedTuple):
    """Everything that Offline DV2 remembers."""

    normalizer: Normalizer
    world_model: Learner
    agent: Learner
    target_values: Values
    penalty_unit: Float[Array, ""]


class OfflineDV2(AbstractDreamer):
    """DreamerV2 on fixed data with a penalty; fields are the hyperparameters."""

    reusable = reusable_model("prior_members")

    prior_members: Size = hyperparameter("priors in the ensemble")
    penalty_scale: Amount = hyperparameter("weight of the priors' disagreement in the reward")
    penalty_unit: PenaltyUnit = hyperparameter(
        "unit of the penalty; data = a mean reward for the mean doubt along held-out windows"
    )
    batch_size: Size = hyperparameter("windows an agent update")
    starts: Size = hyperparameter("dreams an agent update")
    horizon: Size = hyperparameter("actions in a dream")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    value_hidden_sizes: Sizes = hyperparameter("hidden layers of the value")
    agent_learning_rate: Positive = hyperparameter("Adam step size of actor and value")
    agent_clip: Positive = hyperparameter("ceiling of the gradient norms of actor and value")
    lambda_: Share = hyperparameter("of the lambda returns; 1 = n-step returns")
    entropy_scale: Amount = hyperparameter("weight of the policy's entropy")
    tau: Rate = hyperparameter("Polyak rate of the target value")

    title = "Offline DV2: Dreamer on fixed data, with a penalty where an ensemble disagrees"
    paper = "Lu et al. 2023, Challenges and Opportunities in Offline RL (arXiv:2206.04779)"

    def init(self, spec, *, key):
        k_model, k_agent = jax.random.split(key)
        model = self.make_model(spec, prior_members=self.prior_members, key=k_model)
        sizes = self.actor_hidden_sizes, self.value_hidden_sizes, 1
        agent = Agent.create(model.rssm.visible_size, spec.action_size, *sizes, key=k_agent)
        return State(
            Normalizer.of(spec),
            Learner.create(model, self.model_optimizer),
            Learner.create(agent, self.agent_optimizer),
            agent.values,
            jnp.ones(()),
        )

    def make_actions(self, feature_size, action_size, *, key):
        return DirectActions(action_size)

    @property
    def agent_optimizer(self):
        return agent_adam(self.agent_clip, self.agent_learning_rate)

    def phases(self):
        return (self.model_phase(evaluates=False), self.agent_phase(start=start_of(self)))

    def draw_agent(self, dataset, *, key):
        return Recorded.draw(dataset, self.batch_size, self.window, by_episode=False, key=key)

    def update_agent(self, state, batch, *, key):
        """Dreams from posterior states, and one step of actor, value and target."""
        k_states, k_starts, k_dreams = jax.random.split(key, 3)
        batch = normalized(state.normalizer, batch.windows)
        latents = state.world_model.model.states(batch, key=k_states)
        starts = draw_starts(latents, batch, self.starts, key=k_starts)
        agent, metrics = descend(
            state.agent,
            self.agent_optimizer,
            lambda agent: self.agent_loss(agent, state, starts, key=k_dreams),
        )
        target = polyak(state.target_values, agent.model.values, self.tau)
        return state._replace(agent=agent, target_values=target), metrics

    def agent_loss(self, agent, state, starts, *, key):
        """Dreams from `starts`, their penalised returns, and both losses."""
        units = ValueUnits.raw()
        dreams = self.dreams(state, agent.actor, starts, key=key)
        doubt = partial(self.penalty, state.world_model.model)
        penalty = jax.vmap(jax.vmap(doubt))(dreams.latents)
        loss, value_loss, metrics = dream_losses(
            agent,
            units,
            partial(units.value, state.target_values),
            dreams,
            dreams.reward - self.penalty_scale * state.penalty_unit * penalty,
            entropy_scale=self.entropy_scale,
            discount=self.discount,
            lambda_=self.lambda_,
        )
        return loss + value_loss, metrics | {"penalty": jnp.mean(penalty)}

    def penalty(self, model, latent):
        """How far the priors of one state's h lie apart."""
        return mean_disagreement(model.rssm.priors(latent.deterministic))

    def dreams(self, state, actor, starts, *, key):
        """An actor's dream from each state; at each step one prior speaks in all of them."""
        k_members, k_dreams = jax.random.split(key)
        members = draw_members(self.prior_members, self.horizon, key=k_members)
        # The box of actions that are no latents is all there are, whatever the support.
        options = {"support": None, "stop_box_gradient": False, "members": members}
        model = state.world_model.model
        return dream_all(model, actor, starts, self.horizon, **options, key=k_dreams)

    def value(self, state, feature):
        return ValueUnits.raw().value(state.agent.model.values, feature)

    def dream_ends(self, state, starts, *, key):
        return self.dreams(state, state.agent.model.actor, starts, key=key).end

    def choose(self, state, feature, *, key):
        space, actor = state.world_model.model.actions, state.agent.model.actor
        if key is None:
            return actor.mode(feature, space.box(feature))
        return actor.sample(feature, space.box(feature), key=key)
