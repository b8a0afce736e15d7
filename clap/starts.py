"""Where dreams begin: at states of recorded windows."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from clap.rssm import Latent
from shared.datasets.windows import EpisodeWindow


def draw_starts(latents: Latent, batch: EpisodeWindow, count: int, *, key: PRNGKeyArray) -> Latent:
    """`count` states from a batch of windows, without padding and states behind a fatal action.

    `latents` has leading axes batch and time, the result the axis `count`.
    """
    over = jnp.zeros(batch.observed.shape, bool).at[:, 1:].set(batch.window.terminal[:, :-1])
    weight = (batch.observed & ~over).astype(jnp.float32).ravel()
    pick = jax.random.choice(key, weight.size, (count,), p=weight / jnp.sum(weight))
    return jax.tree.map(lambda x: x.reshape(weight.size, x.shape[-1])[pick], latents)
