"""IFQL: IQL's values, a flow-matching clone of the data, and the best of its samples.

"OGBench" (Park et al., 2025), appendix, after "IDQL: Implicit Q-Learning as an Actor-Critic Method
with Diffusion Policies" (Hansen-Estruch et al., 2023), with a flow in the diffusion's place.

    value     u = min_i Q'_i(s, a) - V(s)
              min  |expectile - 1(u < 0)| u²
    critics   y = r + discount (1 - terminal) V(s')
              min  sum_i (Q_i(s, a) - y)²
    flow      min  |v(s, x_t, t) - (a - x_0)|²   (shared/models/flow_matching.py)
    acting    a_j = decode(s, w_j),  w_j ~ N(0, I),  j = 1 ... act_samples
              the a_j with the highest min_i Q_i(s, a_j)
    targets   Q' <- (1 - tau) Q' + tau Q

V = `value`, Q = `critic`, Q' = `target_critic`, decode = `flow`.  The policy takes no part in
training the values, so that nothing is ever asked about an action outside the data.

Differences from the paper: its policy is stochastic; the deterministic mode here takes the best
of as many samples from noise that is always the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.algorithms.iql import Value, expectile_loss
from cnf.critics import smallest_critic
from cnf.rewards import reward_scale, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.flow_matching import FlowMatching, draw_matching, matching_loss
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import MLP, Critics, Normalizer
from shared.ranges import Count, Level, Positive, Rate, Real, Share, Size, Sizes


class State(NamedTuple):
    """Everything that IFQL remembers."""

    normalizer: Normalizer
    reward_scale: Float[Array, ""]
    flow: Learner
    critic: Learner
    value: Learner
    target_critic: Critics


class IFQL(AbstractAlgorithm):
    """Implicit flow Q-learning; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    flow_hidden_sizes: Sizes = hyperparameter("hidden layers of the velocity field")
    flow_steps: Size = hyperparameter("Euler steps from noise to action")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    value_hidden_sizes: Sizes = hyperparameter("hidden layers of the value")
    critic_layer_norm: bool = hyperparameter("layer normalisation in critics and value")
    learning_rate: Positive = hyperparameter("Adam step size of every network")
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    expectile: Level = hyperparameter("of the value regression; 0.5 is the mean")
    act_samples: Size = hyperparameter("actions of the flow among which the critics choose")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    reward_shift: Real = hyperparameter("added to every reward after scaling")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "IFQL: the best of a flow-matching clone's samples by implicit Q-learning"
    paper = "Park et al. 2025, OGBench (arXiv:2410.20092); Hansen-Estruch et al. 2023, IDQL"

    def init(self, spec, *, key):
        k_flow, k_critic, k_value = jax.random.split(key, 3)
        sizes = spec.observation_size, spec.action_size
        layers = {"layer_norm": self.critic_layer_norm, "activation": jax.nn.gelu}
        flow = FlowMatching(
            *sizes, hidden_sizes=self.flow_hidden_sizes, flow_steps=self.flow_steps, key=k_flow
        )
        critic = Critics(*sizes, self.critic_hidden_sizes, key=k_critic, **layers)
        value = Value(MLP(sizes[0], 1, self.value_hidden_sizes, key=k_value, **layers))
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            unit(reward_scale(spec, self.return_span)),
            *(Learner.create(model, self.optimizer) for model in (flow, critic, value)),
            critic,
        )

    @property
    def optimizer(self):
        return optax.adam(self.learning_rate)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step: value, critics, flow, target critics."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a = batch.action
        q = jnp.min(jax.vmap(state.target_critic)(s, a), axis=1)
        value, value_metrics = descend(
            state.value, self.optimizer, lambda m: expectile_loss(m, s, q, self.expectile)
        )
        y = jax.vmap(self.target, (None, None, 0, 0, 0))(
            state, value.model, batch.reward, batch.terminal, s_next
        )
        critic, critic_metrics = descend(
            state.critic, self.optimizer, lambda m: td_loss(m, s, a, y)
        )
        noise, time = draw_matching(a, key=key)
        flow, flow_metrics = descend(
            state.flow, self.optimizer, lambda m: matching_loss(m, s, a, noise, time)
        )
        state = state._replace(
            flow=flow,
            critic=critic,
            value=value,
            target_critic=polyak(state.target_critic, critic.model, self.tau),
        )
        return state, value_metrics | critic_metrics | flow_metrics

    def target(self, state, value, reward, terminal, s_next):
        """The target y, for one transition."""
        scaled = state.reward_scale * reward + self.reward_shift
        return td_target(scaled, terminal, value(s_next), self.discount)

    def latent_size(self, state):
        return state.flow.model.latent_size

    def decode(self, state, memory, observation, latent):
        return state.flow.model.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        """The best of `act_samples` actions; without a key the noise is always the same."""
        s, flow = state.normalizer(observation), state.flow.model
        key = jax.random.key(0) if key is None else key
        noise = jax.random.normal(key, (self.act_samples, flow.latent_size))
        actions = jax.vmap(flow.decode, (None, 0))(s, noise)
        q = jnp.min(jax.vmap(state.critic.model, (None, 0))(s, actions), axis=1)
        return actions[jnp.argmax(q)], memory

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, state.reward_scale, self.reward_shift)

    critic_value = smallest_critic
