"""MOBILE: soft actor-critic in a model, where models that disagree about values cost.

"Model-Bellman Inconsistency for Model-based Offline Reinforcement Learning" (Sun et al., 2023).

    models   and imagined rows as of MOPO, rewards unchanged
             -> clap/model/ensemble.py, clap/imagination.py
    doubt    U(s, a) = std over elites k of
                       mean over samples s'_kj ~ f_k(s, a) of min_i Q'_i(s'_kj, a'_kj)
    critics  y = r - penalty_scale · U(s, a) + discount (1 - terminal) min_i Q'_i(s', a')
             U = 0 for recorded rows; y >= 0 if `nonnegative_targets`
    actor    as of soft actor-critic, its step size falls to 0 along a cosine

a' ~ pi(.|s'), j = 1..`penalty_samples`, beta = `penalty_scale`, U = `inconsistency`.

Differences from the paper:
    - No entropy in the targets, and `nonnegative_targets` (rewards of these tasks are hardly ever
      negative), as in the authors' code.
    - U is the standard deviation with the divisor elites - 1, as there.
    - What clap/algorithms/mopo.py says of models, held-out rows, bounds, alpha and robots without a
      known rule of termination holds here too.
    - Rewards are taken as they are; the authors normalise those of Adroit's human and cloned data.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from clap.model_based import AbstractModelBased, State
from shared.algorithm import hyperparameter
from shared.errors import ConfigError
from shared.models.losses import td_target
from shared.ranges import Size


class MOBILE(AbstractModelBased):
    """Model-Bellman inconsistency penalised; fields are the hyperparameters."""

    penalty_samples: Size = hyperparameter("next states drawn of every elite for the penalty")
    nonnegative_targets: bool = hyperparameter("raise targets below 0 to 0")

    title = "MOBILE: soft actor-critic in a model, with a price on disagreeing Bellman targets"
    paper = "Sun et al. 2023, Model-Bellman Inconsistency for Model-based Offline RL (ICML)"

    def __check_init__(self):
        if self.elites < 2:
            raise ConfigError(
                "elites is 1, but the penalty is how much elites differ; choose more."
            )

    def imagined_reward(self, reward, doubt):
        """As the model says: the price is in the targets."""
        del doubt
        return reward

    def targets(self, state, rows, s_next, *, key):
        """Bellman targets less the price of imagined rows."""
        k_next, k_doubt = jax.random.split(key)
        value, _ = state.agent.next_values(s_next, key=k_next)
        real = self.real_rows
        doubt = self.inconsistency(state, rows.observation[real:], rows.action[real:], key=k_doubt)
        price = self.penalty_scale * jnp.concatenate([jnp.zeros(real), doubt])
        target = jax.vmap(td_target, (0, 0, 0, None))
        y = target(rows.reward - price, rows.terminal, value, self.discount)
        y = jnp.maximum(y, 0.0) if self.nonnegative_targets else y
        return y, {"inconsistency": jnp.mean(doubt)}

    def inconsistency(
        self,
        state: State,
        s: Float[Array, "batch observation"],
        a: Float[Array, "batch action"],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "batch"]:
        """U of these observations (in the units of the data) and actions."""
        k_next, k_act = jax.random.split(key)
        predicted = state.dynamics.predict_elites(s, a)
        mean, std = predicted.mean[..., :-1], predicted.std[..., :-1]
        shape = (self.penalty_samples, *mean.shape)
        s_next = (s[None] + mean)[None] + std[None] * jax.random.normal(k_next, shape)
        flat = jax.vmap(state.normalizer)(s_next.reshape(-1, s.shape[1]))
        value, _ = state.agent.next_values(flat, key=k_act)
        return jnp.std(jnp.mean(value.reshape(shape[:-1]), axis=0), axis=0, ddof=1)
