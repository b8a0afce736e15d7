"""C-LAP: a latent-action world model whose policy is trained in its dreams, in a box.

"Constrained Latent Action Policies for Model-Based Offline Reinforcement
Learning" (Alles et al., 2024).

    model     min  -ELBO of observations, actions, rewards, continuations  (4, 5)
              -> clap/world_model.py, term by term
    policy    u = mu(h, s) + support · sigma(h, s) · u~,  u~ in [-1, 1]^n  (10-12)
    agent     dreams from posterior states, actions decoded from u
    values    min  sum_i (V_i(h, s) - G)²,  G = lambda return of the dream  (6)
    actor     max  mean of G + entropy_scale · entropy of u~,              (7)
              by back-propagation through rewards, values and dynamics

mu, sigma = prior of `GaussianLatentActions`, u~ = the bounded variable of
`BoundedLatentPolicy`, G = `lambda_returns`.

Ablations by configuration: `support: null` (no constraint: a Gaussian on u),
`latent_actions: none` (a plain state-space model, as Dreamer), `policy: prior`
(no agent: the prior's mean or samples, the jump start of section 4.1).

Beyond the paper: `latent_actions: flow` (C-LAP-flow), the flow of CNF as the
latent action space, u = latent_clip · u~; `stochastic_kind: discrete`.

The plain agent is unstable on narrow data.  The preset `stable` keeps it up:
    - `dream_value_weight: 0`, `real_value_weight: 1`, `expectile`: values learn from
      recorded windows alone, in the units (`value_units`) and within the bounds
      (`data_bounds`) of the data; no dream can raise a value.
    - `imitation_weight`, `imitation_temperature`, `imitation_by`: the actor also imitates,
      inside the box, the recorded actions that did better than their state's value, or
      the episodes that did better than others (clap/recorded.py).  The gradient of a
      dream is right about the reward and wrong about the real robot's drift; this holds
      the policy where the data was.
    - `state_from: observation` and `kl_balance` for the model (clap/rssm.py).
    - On medium-expert data `recorded_states: likeliest` (the noise of a sampled state hides what
      fine control needs), `model_cosine_decay` and `agent_cosine_decay` (at a constant step size
      the return of the last policy depends on which update happens to be the last).
    - Of pixels `recorded_states: remembered`: the likeliest states along whole episodes, which
      the frozen model infers once before the agent's first update.  A state inferred from the
      start of a window knows less than an acting policy's, and costs an update most of its time.
Off as well: `tau` (slow values for the targets), `stop_box_gradient`.

Differences from the paper:
    - Its table of hyperparameters is lost; where it names no value ours are our own.
    - The standard deviation of decoded actions is fixed at `action_std` (with 1 the
      latent action dies); those of observations and rewards are learned.
    - The actor's hidden activation is ReLU.
    - Reward and termination are read off the state that an action leads to.
    - Pixels: every value is Gaussian with the fixed deviation `pixel_std` (1, as Dreamer's);
      convolutions pad as to halve the picture (Dreamer's do not pad).
    - A dream starts at `starts` states drawn from the windows, not at all of them.
    - Means of latents are squashed to ±`MEAN_LIMIT` (clap/gaussian.py): without, a dream can run
      away to rewards of any size.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from clap.agent import Agent, Values, ValueUnits, dream_all
from clap.agent_looks import look_at_agent
from clap.dream_losses import dream_losses
from clap.dreamer import normalized
from clap.latent_dreamer import AbstractLatentDreamer
from clap.optimizers import agent_adam
from clap.recorded import recorded_losses
from clap.returns import episode_merit
from clap.starts import draw_starts
from shared.algorithm import hyperparameter
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


class CLAP(AbstractLatentDreamer):
    """Constrained Latent Action Policies; fields are the hyperparameters."""

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
    discount: Share = hyperparameter("discount of future rewards")
    lambda_: Share = hyperparameter("of the lambda returns; 1 = n-step returns")
    entropy_scale: Amount = hyperparameter("weight of the bounded variable's entropy")
    tau: Rate | None = hyperparameter("Polyak rate of target values; null = no target")
    stop_box_gradient: bool = hyperparameter("stop the actor's gradient at mu and sigma")
    value_members: Size = hyperparameter("values in the ensemble, whose minimum counts")
    value_units: Literal["raw", "data"] = hyperparameter("units values are learned in")
    data_bounds: bool = hyperparameter("keep rewards and values of dreams within the data's")
    dream_value_weight: Amount = hyperparameter("weight of value regression on dreams")
    real_value_weight: Amount = hyperparameter("weight of value regression on recorded windows")
    expectile: Level = hyperparameter("of the values of recorded windows; 0.5 = their mean")
    imitation_weight: Amount = hyperparameter("weight of imitating recorded actions that did well")
    imitation_by: Literal["advantage", "episode"] = hyperparameter(
        "what did well: single actions by their values, or whole episodes by their return"
    )
    imitation_temperature: Positive = hyperparameter(
        "of the imitated advantages, in units of values; of episodes, in standard deviations"
    )

    title = "C-LAP: policies in the latent action space of a world model, trained in its dreams"
    paper = "Alles et al. 2024, Constrained Latent Action Policies (arXiv:2411.04562)"

    def __check_init__(self):
        check_clip(self.latent_clip, 1.0)

    def init(self, spec, *, key):
        k_model, k_agent = jax.random.split(key)
        model = self.make_model(spec, key=k_model)
        sizes = self.actor_hidden_sizes, self.value_hidden_sizes, self.value_members
        n_latent = model.actions.latent_size
        agent = Agent.create(model.rssm.visible_size, n_latent, *sizes, key=k_agent)
        return State(
            Normalizer.of(spec),
            Learner.create(model, self.model_optimizer),
            Learner.create(agent, self.agent_optimizer),
            agent.values,
            ValueUnits.raw(),
        )

    @property
    def half_width(self):
        """Of the box, in its own unit: prior standard deviations, or latents of the flow."""
        return self.latent_clip if self.latent_actions == "flow" else self.support

    @property
    def agent_optimizer(self):
        steps = self.steps if self.agent_cosine_decay else None
        return agent_adam(self.agent_clip, self.agent_learning_rate, steps)

    def schedules(self):
        return ("agent_cosine_decay",) if self.agent_cosine_decay else ()

    def phases(self):
        if self.policy == "prior":
            return (self.model_phase(evaluates=True),)
        view = self.remember if self.remembers else None
        agent = self.agent_phase(start=self.start_agent, view=view)
        return (self.model_phase(evaluates=False), agent)

    @property
    def remembers(self):
        return self.recorded_states == "remembered"

    def remember(self, state, episodes):
        """[h, s] along whole episodes, the likeliest."""
        batch = normalized(state.normalizer, episodes)
        return state.world_model.model.states(batch, key=None).feature

    def draw_agent(self, dataset, *, key):
        """Windows, and the merit of their episodes if that is asked for."""
        windows = dataset.draw_windows(self.batch_size, self.window, key=key)
        if self.imitation_by == "advantage":
            return windows, None
        judged = dataset.with_reward(episode_merit(dataset))
        return windows, judged.draw_windows(self.batch_size, self.window, key=key).window.reward

    def start_agent(self, state, dataset, *, key):
        """The units of the values, out of the data; `key` is not needed."""
        del key
        form = {"scaled": self.value_units == "data", "bounded": self.data_bounds}
        return state._replace(units=ValueUnits.of_data(dataset, self.discount, **form))

    def update_agent(self, state, batch, *, key):
        """Dream, returns, and one step of actor and values."""
        model = state.world_model.model
        k_states, k_starts, k_dreams = jax.random.split(key, 3)
        batch, merit = batch
        if self.remembers:
            latents = model.rssm.split(batch.window.observation)
        else:
            batch = normalized(state.normalizer, batch)
            sampled = self.recorded_states == "sampled"
            latents = model.states(batch, key=k_states if sampled else None)
        seen = model.rssm.visible(latents)
        starts = draw_starts(latents, batch, self.starts, key=k_starts)

        def loss(agent):
            return self.agent_loss(agent, state, starts, seen, batch, merit, key=k_dreams)

        agent, metrics = descend(state.agent, self.agent_optimizer, loss)
        if self.tau is not None:
            target = polyak(state.target_values, agent.model.values, self.tau)
            state = state._replace(target_values=target)
        return state._replace(agent=agent), metrics

    def agent_loss(self, agent, state, starts, features, batch, merit, *, key):
        """Dreams from `starts`, their returns, and the two losses; `features` of the windows."""
        model = state.world_model.model

        dreams = self.dreams(state, agent.actor, starts, self.stop_box_gradient, key=key)
        judge = state.agent.model.values if self.tau is None else state.target_values
        value = partial(state.units.value, judge)
        reward = jnp.clip(dreams.reward, *state.units.reward_range)
        options = {"entropy_scale": self.entropy_scale, **self.return_options}
        loss, value_loss, metrics = dream_losses(
            agent, state.units, value, dreams, reward, **options
        )
        loss = loss + self.dream_value_weight * value_loss
        if not (is_zero(self.real_value_weight) and is_zero(self.imitation_weight)):
            values, imitation, more = recorded_losses(
                agent,
                model.actions.frozen(),
                self.half_width,
                state.units,
                value,
                features,
                batch,
                merit,
                expectile=self.expectile,
                temperature=self.imitation_temperature,
                **self.return_options,
                key=jax.random.fold_in(key, 1),
            )
            loss = loss + self.real_value_weight * values + self.imitation_weight * imitation
            metrics |= more
        return loss, metrics

    def dreams(self, state, actor, starts, stop_box_gradient, *, key):
        """An actor's dream from each state."""
        options = {"support": self.half_width, "stop_box_gradient": stop_box_gradient}
        return dream_all(state.world_model.model, actor, starts, self.horizon, **options, key=key)

    @property
    def return_options(self):
        return {"discount": self.discount, "lambda_": self.lambda_}

    def look_at_values(self, state, dataset, *, key):
        """What the agent believes, and where its dreams end."""
        agent = state.agent.model
        metrics = look_at_agent(
            state,
            dataset,
            value=partial(state.units.value, agent.values),
            draw=lambda dataset, *, key: self.draw_agent(dataset, key=key)[0],
            ends=lambda starts, *, key: self.dreams(state, agent.actor, starts, False, key=key).end,
            episodes=self.validation_windows,
            discount=self.discount,
            remembered=self.remembers,
            key=key,
        )
        return state, metrics

    def choose(self, state, feature, *, key):
        space, actor = state.world_model.model.actions.frozen(), state.agent.model.actor
        if self.policy == "prior":
            u = space.sample_prior(feature, key=key)
        elif key is None:
            u = actor.mode(feature, space.box(feature, self.half_width))
        else:
            u = actor.sample(feature, space.box(feature, self.half_width), key=key)
        return space.decode(feature, u)
