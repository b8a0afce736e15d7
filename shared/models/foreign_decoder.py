"""A frozen policy of somebody else as a latent action space: its noise is the latent.

The file (`shared/models/foreign_file.py`) answers raw observations and noise with actions, in units
of its own (`shared/models/foreign_units.py`).  Nothing else is known of it: it is never
differentiated, and neither encodes nor has a density.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shared.errors import ConfigError
from shared.models.foreign_file import load
from shared.models.foreign_units import (
    AnswerRange,
    range_of_manifest,
    range_of_pairs,
    require_same_units,
)
from shared.models.latent_actions import AbstractLatentActionSpace, centered_box
from shared.models.networks import Normalizer


class ForeignDecoder(AbstractLatentActionSpace):
    """The decoder in a file, which must stay where and what it is.

    Arguments:
        source: path of the file; behind an `@` the first digits of its SHA-256, if it must have it.
        normalizer: of the conditions, to undo: the file sees raw observations.
        observation_size: of the data.
        action_size: of the data (or of a chunk of actions).
        answers: lowest and highest answer of every motor, pairs one after another; None takes
            what the file declares, or -1 and 1.

    Raises:
        ConfigError: no such file, another digest, or inputs and outputs of another kind.
    """

    normalizer: Normalizer
    source: str = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)
    action_size: int = eqx.field(static=True)
    answers: AnswerRange | None = eqx.field(static=True)

    def __init__(
        self,
        source: str,
        normalizer: Normalizer,
        *,
        observation_size: int,
        action_size: int,
        answers: tuple[float, ...] | None = None,
    ):
        foreign = load(source)
        if foreign.observation_size != observation_size:
            raise ConfigError(
                f"{source}: sees observations of {foreign.observation_size} numbers, but those of "
                f"the data have {observation_size}; choose the policy of this robot."
            )
        self.normalizer, self.source = normalizer, source
        self.latent_size, self.action_size = foreign.latent_size, action_size
        blank = (np.zeros((1, n), np.float32) for n in (observation_size, self.latent_size))
        size = int(np.prod(jax.eval_shape(foreign.call, *blank).shape[1:]))
        if size != action_size:
            raise ConfigError(
                f"{source}: answers with {size} numbers, but an action (of a chunk, all of them) "
                f"has {action_size}; choose the policy of this robot, or set chunk."
            )
        self.answers = range_of_manifest(foreign.manifest, source)
        if answers is not None:
            self.answers = range_of_pairs(answers, "decoder_range")
        if self.answers is not None and action_size % len(self.answers.low):
            raise ConfigError(
                f"{source}: its range is of {len(self.answers.low)} motors, but an action has "
                f"{action_size}; give one pair a motor."
            )

    def encode(self, condition, action, *, key=None):
        """Nobody knows how to.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"{self.source} decodes only")

    def log_prob(self, condition, action, *, key=None):
        """Nobody knows it.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"{self.source} has no density")

    def decode(
        self, condition: Float[Array, "condition"], latent: Float[Array, "latent"]
    ) -> Float[Array, "action"]:
        """The answer of the file, its range undone, clipped to [-1, 1]."""
        observation = self.normalizer.inverse(condition)
        action = _rows(self.source, self.action_size)(observation[None], latent[None])[0]
        return jnp.clip(action if self.answers is None else self.answers.undone(action), -1.0, 1.0)

    def box(self, condition, half_width):
        """0 ± `half_width`, or None."""
        del condition
        return centered_box(self.latent_size, half_width)

    def check(self, observations: Float[np.ndarray, "rows observation"]) -> None:
        """Ask it about rows of the data.

        Raises:
            ConfigError: an answer is not finite.
        """
        noise = np.random.default_rng(0).normal(size=(len(observations), self.latent_size))
        actions = load(self.source).call(observations, noise.astype(np.float32))
        bad = ~np.isfinite(np.asarray(actions)).reshape(len(observations), -1).all(1)
        if bad.any():
            raise ConfigError(
                f"{self.source}: answers {np.asarray(actions)[bad][0].tolist()} to row "
                f"{int(np.flatnonzero(bad)[0])} of the data; such a policy cannot be steered."
            )

    def require_units(self, action_range: tuple[np.ndarray, np.ndarray] | None) -> None:
        """Refuse a range that the file declares and that is not the data's (None: -1 to 1).

        Raises:
            ConfigError: the ranges differ.
        """
        if "action_range" in load(self.source).manifest:
            require_same_units(self.source, self.answers, action_range)


def _rows(source: str, action_size: int) -> Callable:
    """The call of a file over rows; vmapped, all rows of all axes go in one call."""

    @jax.custom_batching.custom_vmap
    def rows(observations, noises):
        actions = load(source).call(observations, noises)
        return actions.reshape(observations.shape[0], action_size)

    @rows.def_vmap
    def _(axis_size, in_batched, observations, noises):
        both = (
            x if batched else jnp.broadcast_to(x, (axis_size, *x.shape))
            for x, batched in zip((observations, noises), in_batched, strict=True)
        )
        flat = rows(*(x.reshape(-1, x.shape[-1]) for x in both))
        return flat.reshape(axis_size, -1, action_size), True

    return rows
