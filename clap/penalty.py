"""The price of doubt in a unit of the data's, which does not grow with the model.

    raw     r - penalty_scale · d                                  the papers'
    data    r - penalty_scale · d · mean |r| / mean d              ours

d = what the priors of a state disagree by, a distance of states or a spread of their
log-densities.  Either grows with the number and the scale of latent variables, and is taken
from rewards of any size.  In the data's unit a `penalty_scale` of 1 takes one mean reward
where the doubt is what it is, on average, along recorded episodes that the model was not
trained on.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clap.diagnostics import masked_mean
from clap.model.states import Latent
from clap.model.world_model import WorldModel, normalized
from shared.datasets.windows import EpisodeWindow

PenaltyUnit = Literal["raw", "data"]


def start_of(algorithm) -> Callable | None:
    """What the agent's phase begins with: `penalty_unit` of the state, where it is the data's."""
    return partial(_start, algorithm) if algorithm.penalty_unit == "data" else None


def _start(algorithm, state, dataset, *, key):
    size = algorithm.validation_windows, algorithm.window
    windows = normalized(state.normalizer, dataset.draw_validation_windows(*size, key=key))
    model = state.world_model.model
    unit = unit_of_data(partial(algorithm.penalty, model), model, windows, dataset)
    return state._replace(penalty_unit=unit)


def unit_of_data(
    doubt: Callable[[Latent], Float[Array, ""]], model: WorldModel, windows: EpisodeWindow, dataset
) -> Float[Array, ""]:
    """The unit: mean |r| over all recorded rows, a mean d over those of the windows.

    Arguments:
        doubt: d of one state.
        model: infers the states, the likeliest ones.
        windows: normalised, of held-out episodes; their first states have no action behind them,
            and do not count.
        dataset: with `reward` and `acted` of its rows.
    """
    found = jax.vmap(jax.vmap(doubt))(model.states(windows, key=None))
    mean_doubt = masked_mean(found[:, 1:], windows.observed[:, 1:])
    return masked_mean(jnp.abs(dataset.reward), dataset.acted) / jnp.maximum(mean_doubt, 1e-6)
