"""QC: Q-chunking, the best of a flow-matching clone's action chunks by critics of whole chunks.

"Reinforcement Learning with Action Chunking" (Li et al., 2025).  `chunk` is the paper's horizon h:
a below is a_t, ..., a_{t+h-1}, r its discounted sum of rewards, s' what is seen behind its last
action, and discount that of h steps (`shared/datasets/chunks.py`).

    flow      min  |v(s, x_t, t) - (a - x_0)|²   (shared/models/flow_matching.py)
    policy    a_j = decode(s, w_j),  w_j ~ N(0, I),  j = 1 ... act_samples
              pi(s) = the a_j with the highest mean_i Q_i(s, a_j)
    critics   y = r + discount (1 - terminal) mean_i Q'_i(s', pi(s'))               (7)
              min  sum_i (Q_i(s, a) - y)²
    targets   Q' <- (1 - tau) Q' + tau Q

decode = `flow`, Q = `critic`, Q' = `target_critic`.  The chunk is played open loop.  QC-FQL, a
one-step policy distilled from the same flow, is the algorithm `qc-fql`, FQL over chunks
(cnf/algorithms/fql.py).

Differences from the paper: its policy is stochastic; the deterministic mode here takes the best of
as many samples from noise that is always the same.  The authors' code masks a chunk that an end of
its episode cuts; here such a chunk is not drawn.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.rewards import reward_scale, scaled, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.flow_matching import FlowMatching, draw_matching, matching_loss
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.ranges import Count, Positive, Rate, Real, Share, Size, Sizes


class State(NamedTuple):
    """Everything that QC remembers."""

    normalizer: Normalizer
    reward_scale: Float[Array, ""] | None
    flow: Learner
    critic: Learner
    target_critic: Critics


class QC(AbstractAlgorithm):
    """Q-chunking; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("chunks an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    flow_hidden_sizes: Sizes = hyperparameter("hidden layers of the velocity field")
    flow_steps: Size = hyperparameter("Euler steps from noise to the chunk")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critics: Size = hyperparameter("members of the critics' ensemble")
    critic_layer_norm: bool = hyperparameter("layer normalisation in the critics")
    learning_rate: Positive = hyperparameter("Adam step size of every network")
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    act_samples: Size = hyperparameter("chunks of the flow among which the critics choose")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    reward_shift: Real = hyperparameter("added to every reward after scaling")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "QC: the best of a flow-matching clone's action chunks by critics of chunks"
    paper = "Li et al. 2025, Reinforcement Learning with Action Chunking (arXiv:2507.07969)"

    def init(self, spec, *, key):
        k_flow, k_critic = jax.random.split(key)
        sizes = spec.observation_size, spec.action_size
        flow = FlowMatching(
            *sizes, hidden_sizes=self.flow_hidden_sizes, flow_steps=self.flow_steps, key=k_flow
        )
        critic = Critics(
            *sizes,
            self.critic_hidden_sizes,
            size=self.critics,
            layer_norm=self.critic_layer_norm,
            activation=jax.nn.gelu,
            key=k_critic,
        )
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            reward_scale(spec, self.return_span),
            Learner.create(flow, self.optimizer),
            Learner.create(critic, self.optimizer),
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
        """One step: flow, critics, target critics; the policy is what both make of noise."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_next, k_flow = jax.random.split(key)
        y = jax.vmap(partial(self.target, state))(
            batch.reward, batch.terminal, s_next, jax.random.split(k_next, s.shape[0])
        )
        critic, critic_metrics = descend(
            state.critic, self.optimizer, lambda m: td_loss(m, s, batch.action, y)
        )
        noise, time = draw_matching(batch.action, key=k_flow)
        flow, flow_metrics = descend(
            state.flow, self.optimizer, lambda m: matching_loss(m, s, batch.action, noise, time)
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        state = state._replace(flow=flow, critic=critic, target_critic=target_critic)
        return state, critic_metrics | flow_metrics

    def target(self, state, reward, terminal, s_next, key):
        """The target y of equation 7, for one transition."""
        next_value = jnp.mean(state.target_critic(s_next, self.policy(state, s_next, key=key)))
        reward = scaled(reward, state.reward_scale) + self.reward_shift
        return td_target(reward, terminal, next_value, self.discount)

    def policy(self, state, s, *, key):
        """The best of `act_samples` chunks by the mean of the critics."""
        flow = state.flow.model
        noise = jax.random.normal(key, (self.act_samples, flow.latent_size))
        actions = jax.vmap(flow.decode, (None, 0))(s, noise)
        q = jnp.mean(jax.vmap(state.critic.model, (None, 0))(s, actions), axis=1)
        return actions[jnp.argmax(q)]

    def act(self, state, memory, observation, *, key):
        """Without a key the noise is always the same."""
        key = jax.random.key(0) if key is None else key
        return self.policy(state, state.normalizer(observation), key=key), memory

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale), self.reward_shift)

    def critic_value(self, state, observation, action):
        """Mean of the critics, of an action in a simulator."""
        return jnp.mean(state.critic.model(state.normalizer(observation), action))
