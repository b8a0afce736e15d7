"""QAM: Q-learning with adjoint matching, a flow policy taught by the critics' action gradient.

"Q-learning with Adjoint Matching" (Li et al., 2026).  With K = `flow_steps`, h = 1 / K, t_i = i h:

    slow      min  |v(s, x_t, t) - (a - x_0)|²   (shared/models/flow_matching.py)
    walk      x_0 ~ N(0, I),  sigma_i² = 2 (1 - t_i + h) / (t_i + h),  z_i ~ N(0, I)
              x_{i+1} = x_i + h (2 u(s, x_i, t_i) - x_i / (t_i + h)) + sqrt(h) sigma_i z_i
              x_K     = x_{K-1} + h v'(s, x_{K-1}, t_{K-1})
    adjoint   g_K = -inverse_temperature · d/dx mean_j Q'_j(s, clip(x_K, ±1))
              g_i = g_{i+1} + h J_i^T g_{i+1},
              J_i = d/dx [2 v'(s, x, t_i + h) - x / (t_i + h)] at x_i
    fast      min  sum_i |2 (u(s, x_i, t_i) - v'(s, x_i, t_i)) / sigma_i + sigma_i g_i|²
    critics   a' = pi(s');  y = r + discount (1 - terminal) (mean_j Q'_j - rho · std_j Q'_j)(s', a')
              min  sum_j (Q_j(s, a) - y)²
    targets   Q' <- (1 - tau) Q' + tau Q,  v' likewise

v = `flow`, v' = `target_flow`, u = `fast`, Q = `critic`, Q' = `target_critic`, rho = `pessimism`.
The policy pi decodes noise by K Euler steps along u.  No gradient passes through the walk or the
adjoint: u learns at every step by itself, and at its optimum samples what the data do, weighted by
exp(inverse_temperature · Q).

With `edit_scale` above 0 (QAM-E, the algorithm `qam-e`) a bounded policy moves the decoded action
(cnf/editor.py).

Differences from the paper: the ceiling of 1 on the gradient's norm is one for each network, not one
for all together.  The policy is stochastic; its deterministic mode decodes noise of 0.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnf.adjoint import adjoint_matching, adjoints, walk
from cnf.editor import Editor
from cnf.rewards import reward_scale, scaled, unit
from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.flow_matching import FlowMatching, draw_matching, matching_loss
from shared.models.learner import Learner, clipped_adam, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics, Normalizer
from shared.ranges import Amount, Count, Positive, Rate, Real, Share, Size, Sizes
from shared.types import is_zero

CLIP = 1.0
"""Ceiling of a gradient's norm."""


class State(NamedTuple):
    """Everything that QAM remembers."""

    normalizer: Normalizer
    reward_scale: Float[Array, ""] | None
    flow: Learner
    target_flow: FlowMatching
    fast: Learner
    critic: Learner
    target_critic: Critics
    editor: Editor | None


class QAM(AbstractAlgorithm):
    """Q-learning with adjoint matching; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates of every network")
    batch_size: Size = hyperparameter("rows an update")
    return_weighting: Positive | None = hyperparameter(
        "temperature at which good episodes are drawn more often; null = rows uniformly"
    )
    flow_hidden_sizes: Sizes = hyperparameter("hidden layers of both velocity fields")
    flow_steps: Size = hyperparameter("K: steps from noise to action")
    inverse_temperature: Positive = hyperparameter("weight of the critics in the fast flow")
    edit_scale: Amount = hyperparameter("half width of the edit of an action; 0 = none")
    actor_hidden_sizes: Sizes = hyperparameter("hidden layers of the edit policy")
    critic_hidden_sizes: Sizes = hyperparameter("hidden layers of each critic")
    critics: Size = hyperparameter("members of the critics' ensemble")
    critic_layer_norm: bool = hyperparameter("layer normalisation in the critics")
    pessimism: Amount = hyperparameter("rho: standard deviations of the target below its mean")
    learning_rate: Positive = hyperparameter("Adam step size of every network")
    chunk: Size = hyperparameter("actions chosen at a time and played one after another")
    n_step: Size = hyperparameter("chunks whose rewards are summed before the next value")
    replan: Size | None = hyperparameter("actions of a chunk that are played; null = all")
    discount: Share = hyperparameter("discount of future rewards")
    tau: Rate = hyperparameter("Polyak rate of the slow copies")
    return_span: Positive | None = hyperparameter(
        "best minus worst episode return after scaling the rewards; null = raw rewards"
    )
    reward_shift: Real = hyperparameter("added to every reward after scaling")
    normalize_observations: bool = hyperparameter("standardise observations")

    title = "QAM: a flow policy by adjoint matching, or (qam-e) with an edit of its actions"
    paper = "Li et al. 2026, Q-learning with Adjoint Matching (arXiv:2601.14234)"

    def init(self, spec, *, key):
        k_flow, k_fast, k_critic, k_editor = jax.random.split(key, 4)
        s_size, a_size = spec.observation_size, spec.action_size
        make_flow = partial(
            FlowMatching,
            *(s_size, a_size),
            hidden_sizes=self.flow_hidden_sizes,
            flow_steps=self.flow_steps,
        )
        flow = make_flow(key=k_flow)
        critic = Critics(
            *(s_size, a_size),
            self.critic_hidden_sizes,
            size=self.critics,
            layer_norm=self.critic_layer_norm,
            activation=jax.nn.gelu,
            key=k_critic,
        )
        learner = partial(Learner.create, optimizer=self.optimizer)
        editor = None
        if not is_zero(self.edit_scale):
            sizes = s_size, a_size, self.actor_hidden_sizes
            editor = Editor.create(*sizes, self.optimizer, key=k_editor)
        return State(
            Normalizer.of(spec, active=self.normalize_observations),
            reward_scale(spec, self.return_span),
            learner(flow),
            flow,
            learner(make_flow(key=k_fast)),
            learner(critic),
            critic,
            editor,
        )

    @property
    def optimizer(self):
        return clipped_adam(CLIP, self.learning_rate)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.weighted(self.return_weighting).draw(self.batch_size, key=key)

    def update(self, state, batch, *, key):
        """One step of every network, all on what the others were before; then the slow copies."""
        s = jax.vmap(state.normalizer)(batch.observation)
        s_next = jax.vmap(state.normalizer)(batch.next_observation)
        k_next, k_flow, k_walk, k_edit = jax.random.split(key, 4)
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
        x, g = jax.vmap(partial(self.lesson, state))(s, jax.random.split(k_walk, s.shape[0]))
        fast, fast_metrics = descend(
            state.fast, self.optimizer, lambda m: self.fast_loss(m, state.target_flow, s, x, g)
        )
        metrics = critic_metrics | flow_metrics | fast_metrics
        editor = state.editor
        if editor is not None:
            editor, edit_metrics = self.improve_editor(state, s, key=k_edit)
            metrics |= edit_metrics
        state = state._replace(
            flow=flow,
            target_flow=polyak(state.target_flow, flow.model, self.tau),
            fast=fast,
            critic=critic,
            target_critic=polyak(state.target_critic, critic.model, self.tau),
            editor=editor,
        )
        return state, metrics

    def target(self, state, reward, terminal, s_next, key):
        """The pessimistic target y, for one transition."""
        q = state.target_critic(s_next, self.policy(state, s_next, key=key))
        next_value = jnp.mean(q) - self.pessimism * jnp.std(q)
        reward = scaled(reward, state.reward_scale) + self.reward_shift
        return td_target(reward, terminal, next_value, self.discount)

    def lesson(self, state, s, key):
        """Points of one walk and their adjoints; see `cnf/adjoint.py`."""
        x, end = walk(state.fast.model, state.target_flow, s, key=key)

        def value(x):
            return jnp.mean(state.target_critic(s, jnp.clip(x, -1.0, 1.0)))

        last = -self.inverse_temperature * jax.grad(value)(end)
        return x, adjoints(state.target_flow, s, x, last)

    def fast_loss(self, fast, slow, s, x, g):
        """Adjoint matching over a batch of lessons."""
        loss = jnp.mean(jax.vmap(partial(adjoint_matching, fast, slow))(s, x, g))
        return loss, {"adjoint_loss": loss, "adjoint": jnp.mean(jnp.abs(g))}

    def improve_editor(self, state, s, *, key):
        """One step of the editor on what the fast flow decodes."""
        keys = jax.vmap(jax.random.split)(jax.random.split(key, s.shape[0]))
        actions = jax.vmap(lambda s, key: self.decoded(state, s, key=key))(s, keys[:, 0])
        edit = self.edit_scale, self.optimizer
        return state.editor.improved(state.critic.model, s, actions, *edit, keys=keys[:, 1])

    def decoded(self, state, s, *, key):
        """What the fast flow makes of noise; of 0 without a key."""
        fast = state.fast.model
        shape = (fast.latent_size,)
        noise = jnp.zeros(shape) if key is None else jax.random.normal(key, shape)
        return fast.decode(s, noise)

    def policy(self, state, s, *, key):
        """pi(s): a decoded action, edited where there is an editor; its mode without a key."""
        k_noise, k_edit = (None, None) if key is None else jax.random.split(key)
        action = self.decoded(state, s, key=k_noise)
        if state.editor is None:
            return action
        return state.editor.edited(s, action, self.edit_scale, key=k_edit)

    def act(self, state, memory, observation, *, key):
        return self.policy(state, state.normalizer(observation), key=key), memory

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount, unit(state.reward_scale), self.reward_shift)

    def critic_value(self, state, observation, action):
        """Mean of the critics, of an action in a simulator."""
        return jnp.mean(state.critic.model(state.normalizer(observation), action))
