"""DT: a decision transformer, sequence modelling in place of dynamic programming.

"Decision Transformer: Reinforcement Learning via Sequence Modeling"
(Chen et al., 2021), Algorithm 1.

    sequence  R_1, s_1, a_1, ..., R_K, s_K, a_K,  R_t = sum of the rewards from t on
    tokens    network_R(R_t / return_scale) + time(t), likewise s_t and a_t
    policy    a^_t = tanh(head(output of the token of s_t))
    loss      min  mean of |a^_t - a_t|^2 over the K steps
    acting    R_1 = target_return, then R_{t+1} = R_t - r_t

K = `context`.  Training windows end where their episode ends or a terminal lies; the padding
behind it is hidden and carries no loss.  The last K observations, actions and returns to go are the
policy's memory; `rewarded` lowers the return to go.

Differences from the paper:
    - Windows are pushed inside the episode, so that short contexts are those of an
      episode's start only; the authors also pad behind a uniform start.
    - Weights start uniform in ±1/sqrt(fan-in), not normal with standard deviation 0.02,
      and time embeddings with a standard deviation of 0.02, not 1: every one of up to 1000 is seen
      rarely, and until it is learned drowns the observation.  (2,000 updates on a walker2d
      set, four seeds: returns of 2811 and 260.)
    - One target return a task, that of the paper's best; the authors report the better
      of two.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from cnf.transformer import CausalTransformer
from shared.algorithm import AbstractAlgorithm, Phase, hyperparameter
from shared.models.learner import Learner, descend
from shared.models.networks import Normalizer
from shared.ranges import Amount, Count, DropRate, Positive, Real, Size

TIME_STD = 0.02
"""Of the time embeddings' initial entries, smaller than those of the tokens that they join."""


class SequencePolicy(eqx.Module):
    """The actions of a sequence, each from what came before it."""

    embeddings: tuple[eqx.nn.Linear, ...]
    times: eqx.nn.Embedding
    transformer: CausalTransformer
    head: eqx.nn.Linear

    def __init__(self, observation_size, action_size, width, horizon, layers, heads, dropout, key):
        keys = jax.random.split(key, 6)
        sizes = (1, observation_size, action_size)
        self.embeddings = tuple(
            eqx.nn.Linear(n, width, key=k) for n, k in zip(sizes, keys[:3], strict=True)
        )
        times = TIME_STD * jax.random.normal(keys[3], (horizon, width))
        self.times = eqx.nn.Embedding(weight=times)
        self.transformer = CausalTransformer(width, layers, heads, dropout, key=keys[4])
        self.head = eqx.nn.Linear(width, action_size, key=keys[5])

    def __call__(self, returns, s, a, time, real, *, key=None) -> Float[Array, "context action"]:
        """Actions of all steps; `returns` is scaled, `real` marks what is no padding."""
        horizon = self.times.num_embeddings
        when = jax.vmap(self.times)(jnp.clip(time, 0, horizon - 1))
        parts = (returns[:, None], s, a)
        tokens = [jax.vmap(f)(x) + when for f, x in zip(self.embeddings, parts, strict=True)]
        sequence = jnp.stack(tokens, axis=1).reshape(-1, when.shape[1])
        outputs = self.transformer(sequence, jnp.repeat(real, 3), key=key)
        return jnp.tanh(jax.vmap(self.head)(outputs[1::3]))  # the tokens of s


class Memory(NamedTuple):
    """The last steps of an episode, the newest at the end; `time` is that of the newest."""

    returns: Float[Array, "context"]
    observation: Float[Array, "context observation"]
    action: Float[Array, "context action"]
    time: Int[Array, ""]


class State(NamedTuple):
    """Everything that DT remembers."""

    normalizer: Normalizer
    actor: Learner


class DT(AbstractAlgorithm):
    """Decision transformer; fields are the hyperparameters."""

    steps: Count = hyperparameter("updates")
    batch_size: Size = hyperparameter("windows an update")
    context: Size = hyperparameter("K, steps of a window")
    layers: Size = hyperparameter("blocks of the transformer")
    heads: Size = hyperparameter("attention heads of a block")
    width: Size = hyperparameter("length of a token")
    dropout: DropRate = hyperparameter("share of activations and attention dropped in training")
    learning_rate: Positive = hyperparameter("AdamW step size")
    weight_decay: Amount = hyperparameter("decoupled weight decay")
    warmup_steps: Count = hyperparameter("updates in which the step size grows to its value")
    clip: Positive = hyperparameter("ceiling of the gradient norm")
    horizon: Size = hyperparameter("steps of the longest episode")
    target_return: Real = hyperparameter("return that the policy is asked for")
    return_scale: Positive = hyperparameter("returns are divided by it")

    title = "DT: decision transformer, actions conditioned on the return to go"
    paper = "Chen et al. 2021, Decision Transformer (arXiv:2106.01345)"
    of_rows = False

    def init(self, spec, *, key):
        actor = SequencePolicy(
            spec.observation_size,
            spec.action_size,
            self.width,
            self.horizon,
            self.layers,
            self.heads,
            self.dropout,
            key,
        )
        return State(Normalizer.of(spec), Learner.create(actor, self.optimizer))

    @property
    def optimizer(self):
        rate = optax.linear_schedule(
            self.learning_rate / self.warmup_steps, self.learning_rate, self.warmup_steps
        )
        adamw = optax.adamw(rate, weight_decay=self.weight_decay)
        return optax.chain(optax.clip_by_global_norm(self.clip), adamw)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.draw_return_windows(self.batch_size, self.context, key=key)

    def update(self, state, batch, *, key):
        windows, first = batch
        keys = jax.random.split(key, first.shape[0])
        s = jax.vmap(jax.vmap(state.normalizer))(windows.window.observation)
        actor, metrics = descend(
            state.actor, self.optimizer, lambda m: self.actor_loss(m, s, windows, first, keys)
        )
        return state._replace(actor=actor), metrics

    def actor_loss(self, actor, s, windows, first, keys):
        """Mean squared error of the actions over all steps of the windows that have one."""
        window, _, acted = windows

        def predict(returns, s, a, first, real, key):
            time = first + jnp.arange(self.context)
            return actor(returns / self.return_scale, s, a, time, real, key=key)

        actions = jax.vmap(predict)(window.reward, s, window.action, first, acted, keys)
        error = jnp.mean((actions - window.action) ** 2, axis=-1)
        loss = jnp.sum(jnp.where(acted, error, 0.0)) / jnp.sum(acted, dtype=error.dtype)
        return loss, {"actor_loss": loss}

    def initial_memory(self, state):
        sizes = (state.normalizer.mean.shape[0], state.actor.model.head.out_features)
        return Memory(
            jnp.zeros(self.context).at[-1].set(self.target_return / self.return_scale),
            *(jnp.zeros((self.context, size)) for size in sizes),
            jnp.asarray(-1, jnp.int32),
        )

    def act(self, state, memory, observation, *, key):
        """The same with and without a key: the policy is deterministic."""
        s = state.normalizer(observation)
        memory = Memory(
            memory.returns,
            memory.observation.at[-1].set(s),
            memory.action.at[-1].set(0.0),  # not taken yet, and hidden from its own prediction
            memory.time + 1,
        )
        time = memory.time + jnp.arange(1 - self.context, 1)
        actions = state.actor.model(*memory[:3], time, time >= 0)
        return actions[-1], memory._replace(action=memory.action.at[-1].set(actions[-1]))

    def took(self, memory, action):
        return memory._replace(action=memory.action.at[-1].set(action))

    def rewarded(self, memory, reward):
        """Make room for the next step, whose return to go is what is left of the last one's."""
        left = memory.returns[-1] - reward / self.return_scale
        returns, observation, action = (jnp.roll(x, -1, axis=0) for x in memory[:3])
        return Memory(returns.at[-1].set(left), observation, action, memory.time)
