"""What one step of a bare simulator returns."""

from typing import NamedTuple

import numpy as np


class Outcome(NamedTuple):
    """`observation` is float64; at most one of `terminal` and `timeout` is true."""

    observation: np.ndarray
    reward: float
    terminal: bool
    timeout: bool
