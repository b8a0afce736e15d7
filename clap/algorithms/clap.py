"""C-LAP: a latent-action world model whose policy is trained in its dreams, in a box.

"Constrained Latent Action Policies for Model-Based Offline Reinforcement
Learning" (Alles et al., 2024).

    model     min  -ELBO of observations, actions, rewards, continuations  (4, 5)
              -> clap/model/world_model.py, term by term
    policy    u = mu(h, s) + support · sigma(h, s) · u~,  u~ in [-1, 1]^n  (10-12)
    agent     dreams from posterior states, actions decoded from u
              -> clap/dreams.py
    values    min  sum_i (V_i(h, s) - G)²,  G = lambda return of the dream  (6)
    actor     max  mean of G + entropy_scale · entropy of u~,              (7)
              by back-propagation through rewards, values and dynamics

mu, sigma = prior of `GaussianLatentActions`, u~ = the bounded variable of
`BoundedLatentPolicy`, G = `lambda_returns`.

Ablations by configuration: `support: null` (no constraint: a Gaussian on u), `latent_actions:
none` (a plain state-space model, as Dreamer), `policy: prior` (no agent: the prior's mean or
samples, the jump start of section 4.1).

Beyond the paper: `actions_from: state` (latent actions and actor see s alone, without h, in which
past actions can be copied), `frame_stack`, `latent_actions: flow` (C-LAP-flow), CNF's flow as the
latent action space, u = latent_clip · u~; `latent_actions: flow-matching`, the noise of a decoder
by flow matching, u = support · u~; `stochastic_kind: discrete`, `tau`, `stop_box_gradient`.
The plain agent is unstable on narrow data; the preset `stable` keeps it up: values learn from
recorded windows alone, in the units and bounds of the data, and the actor also imitates, inside the
box, what did well (clap/recorded.py); s is inferred from the observation, or remembered along whole
episodes (clap/model/rssm.py); configs/clap.yaml gives the reason of each.

Differences from the paper:
    - Its table of hyperparameters is lost; where it names no value ours are our own.
    - Decoded actions have the fixed standard deviation `action_std` (with 1 the latent action
      dies); those of observations and rewards are learned; of pixels it is `pixel_std`.
    - [s, a] enter the GRU as they are, without the dense layer of the models it builds on.
      Reward and termination are read off the state that an action leads to.  Convolutions pad as
      to halve the picture.  The actor's hidden activation is ReLU.
    - Means of latents are squashed to ±`MEAN_LIMIT` (clap/model/states.py): without, a dream can
      run away to rewards of any size.
    - A dream starts at `starts` states drawn from the windows, not at all of them.  Its steps
      count by the probability that the episode lasts until then, without Dreamer's discount.
    - The actor's gradient passes through the features that it sees, too, where Dreamer's stops.
    - The deterministic policy is the image of the actor's mean at the likeliest posterior state;
      the sampled one draws the latent action, and the state too if the agent was trained on
      samples of it (`recorded_states`).  The paper does not say which it scores.
    - Flow matching has a prior that is N(0, I) in every state, no posterior, and a loss that is no
      likelihood: it teaches the decoder alone, not the model.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from clap.agent import Agent, Values, ValueUnits, agent_adam
from clap.dreamer import AbstractDreamer, reusable_model
from clap.dreams import draw_starts, dream_all, dream_losses
from clap.model.flow_latents import FlowLatentActions
from clap.model.latent_actions import DirectActions, GaussianLatentActions, MarkovActions
from clap.model.matching_latents import MatchingLatentActions
from clap.model.states import states_of
from clap.model.world_model import normalized
from clap.recorded import Recorded, recorded_losses
from shared.algorithm import hyperparameter
from shared.models.flow import DEVIATION
from shared.models.latent_actions import check_clip
from shared.models.learner import Learner, descend, polyak
from shared.models.networks import Normalizer
from shared.ranges import Amount, Level, Positive, Rate, Share, Size, Sizes
from shared.types import is_zero


class State(NamedTuple):
    """Everything that C-LAP remembers."""

    normalizer: Normalizer
    world_model: Learner
    agent: Learner
    target_values: Values
    units: ValueUnits


class CLAP(AbstractDreamer):
    """Constrained Latent Action Policies; fields are the hyperparameters."""

    latent_actions: Literal["gaussian", "flow", "flow-matching", "none"] = hyperparameter(
        "latent action space"
    )
    latent_action: Size = hyperparameter("length of the latent action u")
    actions_from: Literal["history", "state"] = hyperparameter(
        "what actions are read off: 'history' = h and s, 'state' = s alone (Markov actions)"
    )
    action_std: Positive = hyperparameter("standard deviation of the action decoder")
    latent_action_free_nats: Amount = hyperparameter("nats of the latent action's KL that are free")
    flow_layers: Size = hyperparameter("layers of the flow")
    flow_hidden_size: Size = hyperparameter("width of the flow's conditioners")
    flow_noise: Amount = hyperparameter("half width of noise on the flow's training actions")
    flow_steps: Size = hyperparameter("Euler steps from noise to action of flow matching")
    policy: Literal["learned", "prior"] = hyperparameter("what acts; 'prior' trains no agent")
    support: Positive | None = hyperparameter("half width of the box in prior stds; null = no box")
    latent_clip: Rate = hyperparameter("half width of the box of a flow, at most 1")
    batch_size: Size = hyperparameter("windows an agent update")
    recorded_states: Literal["sampled", "likeliest", "remembered"] = hyperparameter(
        "states along recorded windows: samples, the likeliest, or the likeliest along whole "
        "episodes, inferred once (what an acting policy sees)"
    )
    starts: Size = hyperparameter("dreams an agent update")
    horizon: Size = hyperparameter("actions in a dream")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the actor")
    value_hidden_sizes: Sizes = hyperparameter("hidden layers of each value")
    agent_learning_rate: Positive = hyperparameter("Adam step size of actor and values")
    agent_cosine_decay: bool = hyperparameter("the agent's step size falls to 0 along a cosine")
    agent_clip: Positive = hyperparameter("ceiling of the gradient norms of actor and values")
    lambda_: Share = hyperparameter("of the lambda returns; 1 = n-step returns")
    entropy_scale: Amount = hyperparameter("weight of the bounded variable's entropy")
    tau: Rate | None = hyperparameter("Polyak rate of target values; null = no target")
    stop_box_gradient: bool = hyperparameter("stop the actor's gradient at mu and sigma")
    value_members: Size = hyperparameter("values in the ensemble, whose minimum counts")
    value_units: Literal["raw", "data"] = hyperparameter("units values are learned in")
    data_bounds: bool = hyperparameter("keep rewards and values of dreams within the data's")
    dream_weight: Amount = hyperparameter("weight of the dreams' returns in the actor's loss")
    dream_value_weight: Amount = hyperparameter("weight of value regression on dreams")
    real_value_weight: Amount = hyperparameter("weight of value regression on recorded windows")
    expectile: Level = hyperparameter("of the values of recorded windows; 0.5 = their mean")
    imitation_weight: Amount = hyperparameter("weight of imitating recorded actions that did well")
    imitation_by: Literal["advantage", "episode"] = hyperparameter(
        "what did well: single actions by their values, or whole episodes by their return"
    )
    imitation_distance: Literal["absolute", "squared"] = hyperparameter(
        "distance between recorded and decoded action in the imitation"
    )
    imitation_temperature: Positive = hyperparameter(
        "of the imitated advantages, in units of values; of episodes, in standard deviations"
    )

    title = "C-LAP: policies in the latent action space of a world model, trained in its dreams"
    paper = "Alles et al. 2024, Constrained Latent Action Policies (arXiv:2411.04562)"
    reusable = reusable_model(
        *("latent_actions", "latent_action", "flow_layers", "flow_hidden_size", "flow_noise"),
        *("flow_steps", "actions_from", "action_std", "latent_action_free_nats"),
    )

    def __check_init__(self):
        check_clip(self.latent_clip, 1.0)

    def init(self, spec, *, key):
        k_model, k_agent = jax.random.split(key)
        model = self.make_model(spec, key=k_model)
        sizes = self.actor_hidden_sizes, self.value_hidden_sizes, self.value_members
        n_latent = model.actions.latent_size
        size, unseen = model.rssm.visible_size, self.unseen(model.rssm.visible_size)
        agent = Agent.create(size, n_latent, *sizes, unseen=unseen, key=k_agent)
        return State(
            Normalizer.of(spec),
            Learner.create(model, self.model_optimizer),
            Learner.create(agent, self.agent_optimizer),
            agent.values,
            ValueUnits.raw(),
        )

    def make_actions(self, feature_size, action_size, *, key):
        if self.latent_actions == "none":
            return DirectActions(action_size)
        unseen = self.unseen(feature_size)
        sizes = feature_size - unseen, action_size
        if self.latent_actions == "flow":
            form = {"layers": self.flow_layers, "hidden_size": self.flow_hidden_size}
            space = FlowLatentActions(*sizes, **form, noise_width=self.flow_noise, key=key)
        elif self.latent_actions == "flow-matching":
            form = {"flow_steps": self.flow_steps}
            space = MatchingLatentActions(*sizes, self.hidden_sizes, **form, key=key)
        else:
            form = {"action_std": self.action_std, "free_nats": self.latent_action_free_nats}
            sizes = *sizes, self.latent_action, self.hidden_sizes
            space = GaussianLatentActions(*sizes, **form, key=key)
        return MarkovActions(space, unseen) if unseen else space

    def unseen(self, feature_size: int) -> int:
        """First numbers of a feature that actions are not read off: those of h, or none."""
        size = states_of(self.stochastic_kind, self.stochastic, self.classes).size
        return feature_size - size if self.actions_from == "state" else 0

    @property
    def half_width(self):
        """Of the box, in its own unit: prior standard deviations, or latents of the flow."""
        return self.latent_clip if self.latent_actions == "flow" else self.support

    def box_width(self):
        if self.policy == "prior" or self.latent_actions == "none" or self.half_width is None:
            return None
        unit = DEVIATION["uniform"] if self.latent_actions == "flow" else 1.0
        return self.half_width / unit

    @property
    def sees_states(self):
        return self.recorded_states == "remembered"

    @property
    def acts_on_samples(self):
        return self.recorded_states == "sampled"

    @property
    def agent_optimizer(self):
        steps = self.steps if self.agent_cosine_decay else None
        return agent_adam(self.agent_clip, self.agent_learning_rate, steps)

    def schedules(self):
        return ("agent_cosine_decay",) if self.agent_cosine_decay else ()

    def phases(self):
        begin = self.begin_actions if self.latent_actions == "flow" else None
        if self.policy == "prior":
            return (self.model_phase(start=begin, evaluates=True),)
        view = self.remember if self.sees_states else None
        agent = self.agent_phase(start=self.start_agent, view=view)
        return (self.model_phase(start=begin, evaluates=False), agent)

    def remember(self, state, episodes):
        """[h, s] along whole episodes, the likeliest."""
        batch = normalized(state.normalizer, episodes)
        return state.world_model.model.states(batch, key=None).feature

    def start_agent(self, state, dataset, *, key):
        """The units of the values, out of the data; `key` is not needed."""
        del key
        form = {"scaled": self.value_units == "data", "bounded": self.data_bounds}
        return state._replace(units=ValueUnits.of_data(dataset, self.discount, **form))

    def draw_agent(self, dataset, *, key):
        by_episode = self.imitation_by == "episode"
        dataset = dataset.weighted(self.return_weighting)
        return Recorded.draw(dataset, self.batch_size, self.window, by_episode=by_episode, key=key)

    def update_agent(self, state, batch, *, key):
        """Dream, returns, and one step of actor and values."""
        k_states, k_starts, k_dreams = jax.random.split(key, 3)
        latents, windows = self.latents(state, batch.windows, key=k_states)
        starts = draw_starts(latents, windows, self.starts, key=k_starts)
        seen = state.world_model.model.rssm.visible(latents)
        recorded = batch._replace(windows=windows)

        def loss(agent):
            return self.agent_loss(agent, state, starts, seen, recorded, key=k_dreams)

        agent, metrics = descend(state.agent, self.agent_optimizer, loss)
        if self.tau is not None:
            target = polyak(state.target_values, agent.model.values, self.tau)
            state = state._replace(target_values=target)
        return state._replace(agent=agent), metrics

    def latents(self, state, windows, *, key):
        """States along recorded windows, and the windows as the model sees them."""
        model = state.world_model.model
        if self.sees_states:
            return model.rssm.split(windows.window.observation), windows
        windows = normalized(state.normalizer, windows)
        sampled = self.recorded_states == "sampled"
        return model.states(windows, key=key if sampled else None), windows

    def agent_loss(self, agent, state, starts, features, recorded, *, key):
        """Dreams from `starts`, their returns, and all losses; `features` of the windows."""
        dreams = self.dreams(state, agent.actor, starts, self.stop_box_gradient, key=key)
        judge = state.agent.model.values if self.tau is None else state.target_values
        value = partial(state.units.value, judge)
        reward = jnp.clip(dreams.reward, *state.units.reward_range)
        options = {"discount": self.discount, "lambda_": self.lambda_}
        more = {"entropy_scale": self.entropy_scale, **options}
        loss, value_loss, metrics = dream_losses(agent, state.units, value, dreams, reward, **more)
        loss = self.dream_weight * loss + self.dream_value_weight * value_loss
        if is_zero(self.real_value_weight) and is_zero(self.imitation_weight):
            return loss, metrics
        space = state.world_model.model.actions.frozen()
        options |= {"expectile": self.expectile, "temperature": self.imitation_temperature}
        options["squared"] = self.imitation_distance == "squared"
        options["key"] = jax.random.fold_in(key, 1)
        seen = features, recorded
        values, imitation, more = recorded_losses(
            agent, space, self.half_width, state.units, value, *seen, **options
        )
        loss = loss + self.real_value_weight * values + self.imitation_weight * imitation
        return loss, metrics | more

    def dreams(self, state, actor, starts, stop_box_gradient, *, key):
        """An actor's dream from each state."""
        options = {"support": self.half_width, "stop_box_gradient": stop_box_gradient}
        return dream_all(state.world_model.model, actor, starts, self.horizon, **options, key=key)

    def value(self, state, feature):
        return state.units.value(state.agent.model.values, feature)

    def dream_ends(self, state, starts, *, key):
        return self.dreams(state, state.agent.model.actor, starts, False, key=key).end

    def latent_size(self, state):
        space = state.world_model.model.actions
        return space.latent_size if space.models_actions else None

    def decode(self, state, memory, observation, latent):
        model = state.world_model.model
        after = self.filtered(state, memory, observation, jnp.zeros_like(memory.latent.stochastic))
        action = model.actions.frozen().decode(model.rssm.visible(after.latent), latent)
        return action, self.took(after, action)

    def choose(self, state, feature, *, key):
        space, actor = state.world_model.model.actions.frozen(), state.agent.model.actor
        if self.policy == "prior":
            u = space.sample_prior(feature, key=key)
        elif key is None:
            u = actor.mode(feature, space.box(feature, self.half_width))
        else:
            u = actor.sample(feature, space.box(feature, self.half_width), key=key)
        return space.decode(feature, u)
