"""Did a number that is not finite come from the data, or from a simulator?"""

import jax.numpy as jnp
import numpy as np

from shared.datasets.rows import TransitionDataset
from shared.types import Transition

LARGE = 1e6
"""Squares and sums of such numbers leave float32 sooner than any learner does."""


def suspicion(dataset, shown: Transition | None = None) -> str | None:
    """Where to look first, in half a sentence; None if neither data nor simulators look odd.

    Arguments:
        dataset: what training draws from.
        shown: what simulators have shown in an online phase, any leading axes.
    """
    for key, x in ({} if shown is None else shown._asdict()).items():
        if not bool(jnp.all(jnp.isfinite(x))):
            return f"the simulator gave a {key} that is not finite, so mend the simulator"
    if isinstance(dataset, TransitionDataset):
        arrays = dataset.transitions._asdict()
    else:
        arrays = {"action": dataset.places.action, "reward": dataset.places.reward}
    for key, x in arrays.items():
        size = float(np.abs(np.asarray(x, np.float32)).max(initial=0.0))
        if not np.isfinite(size):
            return f"the data's '{key}' is not finite; repair it (see 'data inspect')"
        if size > LARGE:
            return f"the data's '{key}' reaches {size:.3g}; scale it, or drop such rows"
    return None
