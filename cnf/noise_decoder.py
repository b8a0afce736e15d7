"""The decoder that a policy steers by its noise: trained on the data, or given as a file.

    min  |v(s, x_t, t) - (a - x_0)|²,  a = decode(s, w) from noise w
    decode' <- (1 - tau) decode' + tau decode

(`shared/models/flow_matching.py`), v = `decoder`, decode' = `target_decoder`, which alone acts. The
first argument of every function is the algorithm, whose hyperparameters they read.
"""

from functools import partial

import jax

from shared.algorithm import Phase, Reusable
from shared.errors import ConfigError
from shared.models.flow_matching import FlowMatching, draw_matching, matching_loss
from shared.models.foreign_decoder import ForeignDecoder
from shared.models.latent_actions import AbstractLatentActionSpace
from shared.models.learner import descend, polyak
from shared.models.networks import Normalizer

REUSABLE = Reusable(
    "decoder",
    "decoder_steps",
    ("normalizer", "decoder", "target_decoder"),
    ("flow_hidden_sizes", "flow_steps", "decoder_batch_size", "decoder_learning_rate")
    + ("normalize_observations",),
)


def check_decoder(algorithm) -> None:
    """Raise a ConfigError for values that contradict each other."""
    if algorithm.decoder_steps == 0 and not algorithm.decoder_beside and algorithm.steps == 0:
        raise ConfigError("decoder_steps is 0 and steps is 0: there is nothing to train.")
    if algorithm.decoder is None and algorithm.decoder_range is not None:
        raise ConfigError("decoder_range is of a file; give --decoder FILE, or leave it null.")
    if algorithm.decoder is not None and (algorithm.decoder_steps or algorithm.decoder_beside):
        raise ConfigError(
            f"decoder {algorithm.decoder} is frozen; set decoder_steps to 0 and decoder_beside to "
            "false (--decoder does)."
        )
    if algorithm.online_decoder and (algorithm.decoder_beside or algorithm.decoder is not None):
        raise ConfigError(
            "online_decoder is for a decoder that was trained on the data and is frozen since; "
            "leave out --decoder and set decoder_beside to false."
        )


def make_decoder(algorithm, spec, normalizer, *, key) -> AbstractLatentActionSpace:
    """The one in the file, or a fresh one."""
    if algorithm.decoder is not None:
        return _foreign(algorithm, spec, normalizer)
    hidden = {"hidden_sizes": algorithm.flow_hidden_sizes, "flow_steps": algorithm.flow_steps}
    return FlowMatching(spec.observation_size, spec.action_size, **hidden, key=key)


def ask_decoder(algorithm, data) -> None:
    """Ask a decoder that is given about some rows of the data.

    Raises:
        ConfigError: it is no decoder for these data.
    """
    if algorithm.decoder is None:
        return
    spec = data.spec._replace(action_size=algorithm.chunk * data.spec.action_size)
    normalizer = Normalizer.of(spec, active=algorithm.normalize_observations)
    decoder = _foreign(algorithm, spec, normalizer)
    decoder.check(data.transitions.observation[:1000])
    if algorithm.decoder_range is None:
        decoder.require_units(data.action_range)


def decoder_phase(algorithm) -> Phase:
    """The decoder alone, before the policy."""
    return Phase(
        "decoder",
        algorithm.decoder_steps,
        partial(algorithm.draw, size=algorithm.decoder_batch_size),
        algorithm.update_decoder,
        finish=algorithm.freeze_decoder,
        evaluates=False,
    )


def update_decoder(algorithm, state, batch, *, key, weight=None):
    """One step of flow matching, on rows of these weights."""
    s = jax.vmap(state.normalizer)(batch.observation)
    noise, time = draw_matching(batch.action, key=key)
    decoder, metrics = descend(
        state.decoder,
        algorithm.decoder_optimizer,
        lambda m: matching_loss(m, s, batch.action, noise, time, weight),
    )
    target = polyak(state.target_decoder, decoder.model, algorithm.tau)
    return state._replace(decoder=decoder, target_decoder=target), metrics


def freeze_decoder(algorithm, state, dataset, *, key):
    """The policy begins with the decoder itself, not with a copy that lags behind."""
    return state._replace(target_decoder=state.decoder.model)


def _foreign(algorithm, spec, normalizer) -> ForeignDecoder:
    """The decoder in a file."""
    sizes = {"observation_size": spec.observation_size, "action_size": spec.action_size}
    return ForeignDecoder(algorithm.decoder, normalizer, **sizes, answers=algorithm.decoder_range)
