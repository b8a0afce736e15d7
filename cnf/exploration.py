"""The online phase that actor-critic methods share: the policy phase goes on, in the simulator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from shared.algorithm import AbstractAlgorithm, Phase


def online_phase(
    algorithm: AbstractAlgorithm,
    draw: Callable,
    update: Callable,
    *,
    noise: float = 0.0,
    takes_step: bool = False,
) -> Phase:
    """Updates as offline; actions are samples of the policy plus Gaussian `noise`, clipped.

    Optimizers and targets are kept: nothing starts anew at the switch.
    """

    def explore(state, observation, *, key):
        k_act, k_noise = jax.random.split(key)
        action, _ = algorithm.act(state, (), observation, key=k_act)
        return jnp.clip(action + noise * jax.random.normal(k_noise, action.shape), -1.0, 1.0)

    return Phase("online", 0, draw, update, takes_step=takes_step, explore=explore)
