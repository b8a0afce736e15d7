"""Did a number that is not finite come from the data, or from a simulator?"""

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
        odd = _odd(np.asarray(x, np.float32).reshape(-1, *np.shape(x)[2:]))
        if odd is not None:
            return f"the simulator gave a {key} that {odd}, so mend the simulator"
    if isinstance(dataset, TransitionDataset):
        arrays = dataset.transitions._asdict()
    else:
        arrays = {"action": dataset.places.action, "reward": dataset.places.reward}
    for key, x in arrays.items():
        odd = _odd(np.asarray(x, np.float32))
        if odd is not None:
            return f"the data's '{key}' {odd}; scale or repair it (see 'data inspect')"
    return None


def _odd(x: np.ndarray) -> str | None:
    """What is odd about the worst of these numbers, and in which row and column it is."""
    size = np.abs(x.reshape(len(x), -1))
    worst = float(size.max(initial=0.0))
    if worst <= LARGE:
        return None
    row, column = np.argwhere(~(size <= LARGE) if np.isnan(worst) else size == worst)[0]
    what = f"reaches {worst:.3g}" if np.isfinite(worst) else "is not finite"
    return f"{what} in row {row}" + (f", column {column}" if x.ndim > 1 else "")
