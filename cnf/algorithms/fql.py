"""FQL: flow Q-learning, a one-step policy distilled from a flow-matching clone of the data.

"Flow Q-Learning" (Park et al., 2025), Algorithm 1.

    critics   a' = clip(mu(s', z'), ±1),  z' ~ N(0, I)
              y = r + discount (1 - terminal) Q'(s', a')
              min  sum_i (Q_i(s, a) - y)^2                                         (1)
    flow      min  |v(s, x_t, t) - (a - x_0)|^2  (shared/models/flow_matching.py)   (5)
    actor     min  -Q(s, clip(mu(s, z), ±1)) + alpha |mu(s, z) - mu_v(s, z)|^2,
              z ~ N(0, I)                                                          (8)
    targets   Q' <- (1 - tau) Q' + tau Q

v = `flow`, mu = `actor`, and mu_v(s, z) is what the flow decodes from z by `flow_steps`
Euler steps; no gradient passes through it.
Q is the mean of the critics, in the target (`target_minimum: true` for the smaller
one, Adroit) and in the actor loss.  `normalize_q` divides the Q of the actor loss
by its mean size.  `reward_shift` is added to every reward (-1 in AntMaze, the authors' code).

The policy is stochastic: a sample is mu(s, z).  Its deterministic mode, which the
paper does not define, is mu(s, 0).

Differences from the paper: squares are summed over the two critics, not averaged,
which Adam does not notice.  The paper has no locomotion: those values are ours.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cnf.critics import smallest_critic
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.flow_matching import FlowMatching, matching_loss
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import MLP, Critics, Normalizer
from shared.ranges import Amount, Count, Positive, Rate, Real, Share, Size, Sizes


class OneStepActor(eqx.Module):
    """mu(s, z): an action from an observation and noise in one step, not yet clipped."""

    network: MLP

    def __call__(
        self, observation: Float[Array, "observation"], noise: Float[Array, "action"]
    ) -> Float[Array, "action"]:
        return self.network(jnp.concatenate([observation, noise]))


class State(NamedTuple):
    """Everything that FQL remembers."""

    normalizer: Normalizer
    flow: Learner
    actor: Learner
    critic: Learner
    target_critic: Critics


class FQL(AbstractAlgorithm):
    """Flow Q-learning; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    flow_hidden_sizes: Sizes = hyperparameter("hidden layers of the flow's velocity")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the one-step actor")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critic_layer_norm: bool = hyperparameter("layer normalisation in the critics")
    flow_learning_rate: Positive = hyperparameter("Adam step size of the flow")
    actor_learning_rate: Positive = hyperparameter("Adam step size of the actor")
    critic_learning_rate: Positive = hyperparameter("Adam step size of the critics")
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the target critics")
    flow_steps: Size = hyperparameter("Euler steps from noise to the flow's action")
    alpha: Amount = hyperparameter("weight of the distillation against Q")
    normalize_q: bool = hyperparameter("divide the actor loss's Q by its mean size")
    target_minimum: bool = hyperparameter("smaller target critic in place of their mean")
    normalize_observations: bool = hyperparameter("standardise observations")
    reward_shift: Real = hyperparameter("added to every reward (-1 in AntMaze)")

    title = "FQL: flow Q-learning with a distilled one-step policy"
    paper = "Park et al. 2025, Flow Q-Learning (arXiv:2502.02538)"

    def init(self, spec, *, key):
        k_flow, k_actor, k_critic = jax.random.split(key, 3)
        s_size, a_size = spec.observation_size, spec.action_size
        gelu = {"activation": jax.nn.gelu}
        flow = FlowMatching(
            s_size,
            a_size,
            hidden_sizes=self.flow_hidden_sizes,
            flow_steps=self.flow_steps,
            key=k_flow,
        )
        actor = OneStepActor(
            MLP(s_size + a_size, a_size, self.actor_hidden_sizes, key=k_actor, **gelu)
        )
        critic = Critics(
            s_size,
            a_size,
            self.critic_hidden_sizes,
            layer_norm=self.critic_layer_norm,
            key=k_critic,
            **gelu,
        )
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            Learner.create(flow, self.flow_optimizer),
            Learner.create(actor, self.actor_optimizer),
            Learner.create(critic, self.critic_optimizer),
            critic,
        )

    @property
    def flow_optimizer(self):
        return optax.adam(self.flow_learning_rate)

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
        """One step of Algorithm 1: critics, flow, actor (on what they were before), targets."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        a = batch.action
        k_next, k_start, k_time, k_actor = jax.random.split(key, 4)
        y = jax.vmap(self.target, (None, 0, 0, 0, 0))(
            state, batch.reward, batch.terminal, s_next, jax.random.normal(k_next, a.shape)
        )
        critic, critic_metrics = descend(
            state.critic, self.critic_optimizer, lambda m: td_loss(m, s, a, y)
        )
        start, time = jax.random.normal(k_start, a.shape), jax.random.uniform(k_time, y.shape)
        flow, flow_metrics = descend(
            state.flow, self.flow_optimizer, lambda m: matching_loss(m, s, a, start, time)
        )
        noise = jax.random.normal(k_actor, a.shape)
        actor, actor_metrics = descend(
            state.actor,
            self.actor_optimizer,
            lambda m: self.actor_loss(m, state.flow.model, state.critic.model, s, noise),
        )
        target_critic = polyak(state.target_critic, critic.model, self.tau)
        state = state._replace(flow=flow, actor=actor, critic=critic, target_critic=target_critic)
        return state, critic_metrics | flow_metrics | actor_metrics

    def target(self, state, reward, terminal, s_next, noise):
        """Target y of equation 1, for one transition."""
        a_next = jnp.clip(state.actor.model(s_next, noise), -1.0, 1.0)
        q = state.target_critic(s_next, a_next)
        next_value = jnp.min(q) if self.target_minimum else jnp.mean(q)
        return td_target(reward + self.reward_shift, terminal, next_value, self.discount)

    def actor_loss(self, actor, flow, critic, s, noise):
        """Equation 8 over a batch."""
        ends = jax.vmap(flow.decode)(s, noise)
        actions = jax.vmap(actor)(s, noise)
        distillation = jnp.mean((actions - ends) ** 2)
        q = jnp.mean(jax.vmap(critic)(s, jnp.clip(actions, -1.0, 1.0)), axis=1)
        scale = jax.lax.stop_gradient(jnp.mean(jnp.abs(q))) if self.normalize_q else 1.0
        loss = -jnp.mean(q) / scale + self.alpha * distillation
        return loss, {"actor_loss": loss, "distillation": distillation}

    critic_value = smallest_critic

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, shift=self.reward_shift)

    def latent_size(self, state):
        return state.flow.model.latent_size

    def decode(self, state, memory, observation, latent):
        """By the flow, which is what the actor was distilled from."""
        return state.flow.model.decode(state.normalizer(observation), latent), memory

    def act(self, state, memory, observation, *, key):
        s = state.normalizer(observation)
        size = state.actor.model.network.layers[-1].out_features
        noise = jnp.zeros(size) if key is None else jax.random.normal(key, (size,))
        return jnp.clip(state.actor.model(s, noise), -1.0, 1.0), memory
