"""Which states end an episode for good, by the known rules of gymnasium's (and D4RL's) robots.

An imagined episode ends by these rules where the real one would.  Tasks without an entry have
`none`: their imagined episodes never end.  Halfcheetah never falls; for all others it is an
approximation, and nothing is learned in the place of a rule.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

HOPPER_LIMIT = 100.0
"""Of any number in a hopper's state but its height."""


def _hopper(observation):
    height, angle = observation[0], observation[1]
    whole = jnp.all(jnp.abs(observation[1:]) < HOPPER_LIMIT)
    return ~((height > 0.7) & (jnp.abs(angle) < 0.2) & whole)


def _walker2d(observation):
    height, angle = observation[0], observation[1]
    return ~((height > 0.8) & (height < 2.0) & (jnp.abs(angle) < 1.0))


def _none(observation):
    del observation
    return jnp.zeros((), bool)


RULES = {"none": _none, "hopper": _hopper, "walker2d": _walker2d}
"""Values of the hyperparameter `termination`."""


def ended(rule: str, observation: Float[Array, "observation"]) -> Bool[Array, ""]:
    """Does an episode end for good at this observation, which is in the units of the data?"""
    return RULES[rule](observation)
