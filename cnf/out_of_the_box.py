"""Ways out of the box of a policy in the noise: what fine-tuning adds to DSRL; all of it is ours.

    edit      moves the decoded action (cnf/editor.py)
    decoder   online  min  1[Q(s, a) > Q(s, decode'(s, w))] · (matching),  w ~ N(0, I)
    width     online the half width grows while the critics agree at the edge (cnf/widening.py)

The first argument of every function is the algorithm, whose hyperparameters they read.
"""

from functools import partial

import jax
import jax.numpy as jnp

from cnf.widening import disagreement, edge_noise, widened
from shared.errors import ConfigError
from shared.types import is_zero


def check_widening(algorithm):
    """Raise a ConfigError if the box could not grow, or nobody could tell how far."""
    if is_zero(algorithm.online_widening):
        return
    if algorithm.critics < 2:
        raise ConfigError(
            "online_widening asks how far critics disagree, but critics is 1; take 2 or more."
        )
    if algorithm.widest_box <= algorithm.noise_scale:
        raise ConfigError(
            f"widest_box is {algorithm.widest_box:g}, but the box begins at noise_scale "
            f"{algorithm.noise_scale:g}; choose a larger widest_box, or online_widening 0."
        )


def update_online(algorithm, state, batch, *, key):
    """The same; a step of the decoder on what is better than what it does; the box may grow."""
    state, metrics = algorithm.update(state, batch, key=key)
    if state.widening is not None:
        looks = metrics["edge_disagreement"], metrics["data_disagreement"]
        most = algorithm.widest_box - algorithm.noise_scale
        grown = widened(state.widening, *looks, rate=algorithm.online_widening, most=most)
        state = state._replace(widening=grown)
    if not algorithm.online_decoder:
        return state, metrics
    k_own, k_decoder = jax.random.split(jax.random.fold_in(key, 2))
    better = algorithm.better(state, batch, key=k_own)
    state, more = algorithm.update_decoder(state, batch, key=k_decoder, weight=better)
    return state, metrics | more


def better(algorithm, state, batch, *, key):
    """1 for actions that the critics prefer to what the decoder makes of noise, else 0."""
    s, decoder = jax.vmap(state.normalizer)(batch.observation), state.target_decoder
    w = jax.random.normal(key, (s.shape[0], decoder.latent_size))
    value = jax.vmap(lambda s, a: jnp.mean(state.critic.model(s, a)))
    own = value(s, jax.vmap(decoder.decode)(s, w))
    return (value(s, batch.action) > own).astype(jnp.float32)


def improve_editor(algorithm, state, s, *, key):
    """One step of the editor on what the policy's noise is decoded to."""
    decoder, keys = state.target_decoder, jax.random.split(key, (2, s.shape[0]))

    def decoded(s, key):
        box = algorithm.box(decoder, s, state.widening)
        return decoder.decode(s, state.actor.model.sample(s, box, key=key))

    edit = algorithm.edit_scale, algorithm.actor_optimizer
    actions = jax.vmap(decoded)(s, keys[0])
    return state.editor.improved(state.critic.model, s, actions, *edit, keys=keys[1])


def look_at_edge(algorithm, state, s, a, *, key):
    """How far the critics disagree at the edge of the box, and at recorded actions."""
    k_noise, k_made = jax.random.split(key)
    half_width, size = algorithm.half_width(state), state.target_decoder.latent_size
    w = edge_noise(s.shape[0], size, half_width, key=k_noise)
    made = jax.vmap(partial(algorithm.made, state))(s, w, jax.random.split(k_made, s.shape[0]))
    return {
        "half_width": half_width,
        "edge_disagreement": disagreement(state.critic.model, s, made),
        "data_disagreement": disagreement(state.critic.model, s, a),
    }
