"""A frozen latent action space whose hidden layers multiply bfloat16 operands.

Nothing of it is trained, so its products need not be as exact as those of what learns from
them; inputs, outputs, weights and sums stay float32 (`shared/models/products.py` says which
products are rounded, and where that is faster).
"""

from typing import Literal

import jax

from shared.models.latent_actions import AbstractLatentActionSpace

FrozenType = Literal["float32", "bfloat16"]


class Rounded(AbstractLatentActionSpace):
    """The space that it is made of, rounded; gradients by conditions and latents are, too."""

    space: AbstractLatentActionSpace

    @property
    def latent_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As of the space."""
        return self.space.latent_size

    def encode(self, condition, action, *, key=None):
        with jax.default_matmul_precision("bfloat16"):
            return self.space.encode(condition, action, key=key)

    def decode(self, condition, latent):
        with jax.default_matmul_precision("bfloat16"):
            return self.space.decode(condition, latent)

    def log_prob(self, condition, action, *, key=None):
        with jax.default_matmul_precision("bfloat16"):
            return self.space.log_prob(condition, action, key=key)

    def box(self, condition, half_width=None):
        return self.space.box(condition, half_width)


def rounded(space: AbstractLatentActionSpace, dtype: FrozenType) -> AbstractLatentActionSpace:
    """The space, `Rounded` if `dtype` is bfloat16."""
    return space if dtype == "float32" else Rounded(space)
