"""Transitions of the rows of a recording.

The two forms of the format are read differently:

With `next_observations` every row is a transition of its own, the last row and
timeout rows included, because the file holds what their action led to.  (D4RL's
own `qlearning_dataset` ignores the key and drops them, about one row in a
thousand.)  Only rows whose next observation is demonstrably the next episode's
reset are left out.

Without it the next observation is row i+1, so an episode's last row has none:
it is dropped unless it is terminal, and the file's very last row is never used,
exactly as `qlearning_dataset` does.  A terminal row that ends its episode gets
its own observation as the next one: the bootstrap is masked there, and no other
episode's start must leak in.

Returns and lengths of episodes are taken over all rows of the file, dropped
ones included.
"""

from typing import Any

import numpy as np

from shared.data.recording.columns import Columns
from shared.data.recording.ends import Episodes, leaked_resets
from shared.environments.tasks import Environment
from shared.types import Transition


def to_transitions(
    columns: Columns, episodes: Episodes, environment: Environment | None
) -> tuple[Transition, np.ndarray]:
    """Transitions of the usable rows, and the numbers of those rows."""
    observation, terminal, last = columns.observation, columns.terminal, episodes.last
    if columns.next_observation is not None:
        kept = np.flatnonzero(~leaked_resets(columns, last, environment))
        following = columns.next_observation
    else:
        usable = ~last | terminal
        usable[-1] = False
        kept = np.flatnonzero(usable)
        own = (last & terminal)[:-1, None]
        following = np.where(own, observation[:-1], observation[1:])
    action = np.clip(columns.action, -1, 1)
    rows: Any = (observation, action, columns.reward, terminal, following)
    return Transition(*(x[kept] for x in rows)), kept
