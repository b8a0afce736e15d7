"""The optimizers of world models and of agents."""

import optax

from clap.agent import Agent
from shared.types import Scalar


def clipped_adam(
    clip: Scalar, learning_rate: Scalar, steps: int | None = None
) -> optax.GradientTransformation:
    """Adam on gradients whose global norm is at most `clip`.

    Its step size falls to 0 within `steps` updates along a cosine (None: it stays).
    """

    def falling(count):
        return learning_rate * optax.cosine_decay_schedule(1.0, max(steps, 1))(count)

    rate = learning_rate if steps is None else falling
    return optax.chain(optax.clip_by_global_norm(clip), optax.adam(rate))


def agent_adam(
    clip: Scalar, learning_rate: Scalar, steps: int | None = None
) -> optax.GradientTransformation:
    """The same for an `Agent`, whose actor and values are clipped apart."""
    part = clipped_adam(clip, learning_rate, steps)
    return optax.partition({"actor": part, "values": part}, Agent("actor", "values"))
