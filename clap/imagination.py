"""Short episodes that a policy plays in an ensemble of models, from recorded states."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from clap.model.ensemble import Dynamics, Gaussians
from clap.model.terminations import AbstractTermination
from shared.types import Transition


class Imagined(NamedTuple):
    """Steps of all episodes, the first steps first; leading axis = length · episodes.

    Attributes:
        rows: in the units of the data.
        doubt: `aleatoric_doubt` of each.
        alive: false behind the end of an episode, where the others mean nothing.
    """

    rows: Transition
    doubt: Float[Array, "steps"]
    alive: Bool[Array, "steps"]


def aleatoric_doubt(predicted: Gaussians) -> Float[Array, "*batch"]:
    """max_k ||sigma_k||: the largest spread that a member predicts (MOPO's u)."""
    return jnp.max(jnp.linalg.norm(predicted.std, axis=-1), axis=0)


def imagine(
    dynamics: Dynamics,
    act: Callable,
    start: Float[Array, "batch observation"],
    *,
    length: int,
    ended: AbstractTermination,
    key: PRNGKeyArray,
) -> Imagined:
    """Play `length` steps from each start; an elite, drawn anew a step, answers every action.

    Arguments:
        dynamics: trained.
        act: `(observation, *, key) -> action`, for one observation in the units of the data.
        start: where episodes begin.
        length: steps of an episode, if it does not end before.
        ended: does it end at an observation? (clap/model/terminations.py)
        key: draws actions, elites and answers.
    """
    size, elites = len(start), dynamics.elites

    def step(carry, key):
        s, alive = carry
        k_act, k_elite, k_next = jax.random.split(key, 3)
        a = jax.vmap(lambda s, k: act(s, key=k))(s, jax.random.split(k_act, size))
        predicted = dynamics.predict(s, a)
        member = elites[jax.random.randint(k_elite, (size,), 0, len(elites))]
        mean, std = (x[member, jnp.arange(size)] for x in (predicted.mean, predicted.std))
        answer = mean + std * jax.random.normal(k_next, mean.shape)
        s_next = s + answer[:, :-1]
        terminal = jax.vmap(ended)(s_next)
        row = Transition(s, a, answer[:, -1], terminal, s_next)
        return (s_next, alive & ~terminal), Imagined(row, aleatoric_doubt(predicted), alive)

    carry = start, jnp.ones(size, bool)
    _, made = jax.lax.scan(step, carry, jax.random.split(key, length))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), made)
