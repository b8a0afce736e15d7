"""Where dreams begin: at states of recorded windows, or where other dreams ended."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from clap.agent import dream
from clap.rssm import Latent
from shared.data.windows import EpisodeWindow
from shared.types import Scalar

GO_ON = 0.9
"""Chance that a chain of dreams gets another one: ten dreams a chain on average."""


def draw_starts(latents: Latent, batch: EpisodeWindow, count: int, *, key: PRNGKeyArray) -> Latent:
    """`count` states from a batch of windows, without padding and states behind a fatal action.

    `latents` has leading axes batch and time, the result the axis `count`.
    """
    over = jnp.zeros(batch.observed.shape, bool).at[:, 1:].set(batch.window.terminal[:, :-1])
    weight = (batch.observed & ~over).astype(jnp.float32).ravel()
    pick = jax.random.choice(key, weight.size, (count,), p=weight / jnp.sum(weight))
    return jax.tree.map(lambda x: x.reshape(weight.size, x.shape[-1])[pick], latents)


def follow_chains(
    model, actor, pool: Latent, fresh: Latent, horizon: int, *, support: Scalar | None, key
) -> Latent:
    """Every chain one dream further; those that end begin anew at the `fresh` states.

    A chain ends where the model says that its episode does, or by chance (`GO_ON`).
    """
    size = pool.stochastic.shape[0]
    k_dream, k_end = jax.random.split(key)

    def one(start, key):
        options = {"support": support, "stop_box_gradient": False}
        dreamed = dream(model, actor, start, horizon, **options, key=key)
        return dreamed.end, jnp.prod(dreamed.continuation)

    ends, alive = jax.vmap(one)(pool, jax.random.split(k_dream, size))
    goes_on = jax.random.uniform(k_end, (size,)) < GO_ON * alive
    return jax.tree.map(lambda a, b: jnp.where(goes_on[:, None], a, b[:size]), ends, fresh)
