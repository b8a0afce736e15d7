"""What can be wrong with the meaning of well-formed columns: one function a fault.

Each looks at all rows (and at the environment, where it is known) and returns
one sentence with key and mend, or None.  `validate.CHECKS` is the table that
names them and says how bad they are.
"""

import numpy as np

from shared.data.catalog import CONTINUING, Environment
from shared.data.columns import Columns
from shared.data.episodes import broken_rows, find_episodes, flagged_ends, leaked_resets

ACTION_TOLERANCE = 1e-3
"""Actions this far beyond ±1 are rounding and are clipped with a warning."""
MISALIGNED_SHARE = 0.2
"""Fewer rows that do not continue are episode ends without a flag; more, a wrong column."""

_REAL = {
    "observation": "observations",
    "action": "actions",
    "reward": "rewards",
    "next_observation": "next_observations",
}


def non_finite(columns: Columns, environment: Environment | None) -> str | None:
    """A single NaN poisons every batch that meets it."""
    for field, key in _REAL.items():
        x = getattr(columns, field)
        if x is not None and not (finite := np.isfinite(x)).all():
            bad = ~finite.reshape(len(x), -1).all(axis=1)
            return (
                f"key '{key}' is not finite in {bad.sum():,} of {len(x):,} rows, first in row "
                f"{bad.argmax():,}; repair or drop those rows."
            )
    return None


def sizes(columns: Columns, environment: Environment | None) -> str | None:
    """A file of another task would train, and never score."""
    if environment is None:
        return None
    sizes = columns.observation.shape[1], columns.action.shape[1]
    wanted = environment.observation_size, environment.action_size
    if sizes == wanted:
        return None
    return (
        f"observations and actions have {sizes[0]} and {sizes[1]} values a row, but "
        f"{environment.name} has {wanted[0]} and {wanted[1]}; name the data set that this file is."
    )


def action_range(columns: Columns, environment: Environment | None) -> str | None:
    """Policies answer within ±1, so such actions could never be imitated."""
    size = np.abs(columns.action)
    if size.max() <= 1 + ACTION_TOLERANCE:
        return None
    rows = (size > 1 + ACTION_TOLERANCE).any(axis=1)
    return (
        f"key 'actions' lies beyond ±1 in {rows.mean():.1%} of the rows (largest size "
        f"{size.max():.4g}, first in row {rows.argmax():,}); clip or scale the actions to ±1."
    )


def action_rounding(columns: Columns, environment: Environment | None) -> str | None:
    """A little beyond ±1 is the rounding of a tanh or a clip."""
    size = np.abs(columns.action)
    if not 1 < size.max() <= 1 + ACTION_TOLERANCE:
        return None
    share = (size > 1).any(axis=1).mean()
    over = size.max() - 1
    return f"key 'actions' lies up to {over:.1e} beyond ±1 in {share:.1%} of the rows; clipped."


def no_ends(columns: Columns, environment: Environment | None) -> str | None:
    """Without any end, the step from one episode's last row into the next looks like dynamics."""
    if environment is not None and (environment.quirk == CONTINUING or columns.timeout is None):
        return None
    if columns.terminal.any() or (columns.timeout is not None and columns.timeout.any()):
        return None
    if columns.timeout is None:
        return "key 'timeouts' is missing and no row is terminal; add a true at each episode's end."
    return "no row of 'terminals' or 'timeouts' is true; set 'timeouts' at each episode's last row."


def no_timeouts(columns: Columns, environment: Environment | None) -> str | None:
    """Old files leave the time limit to the reader."""
    if columns.timeout is not None:
        return None
    if environment is not None:
        return (
            f"key 'timeouts' is missing; episodes are cut every {environment.horizon} rows, the "
            f"horizon of {environment.name}."
        )
    return "key 'timeouts' is missing; only terminal rows end an episode."


def both_flags(columns: Columns, environment: Environment | None) -> str | None:
    """The robot fell on the very last step."""
    if columns.timeout is None:
        return None
    both = int((columns.terminal & columns.timeout).sum())
    return (
        f"{both:,} rows are both terminal and timeout; they are read as terminal." if both else None
    )


def terminal_at_limit(columns: Columns, environment: Environment | None) -> str | None:
    """Time limits stored as terminals teach that life ends there."""
    if environment is not None and environment.quirk:
        return None
    ends = np.flatnonzero(columns.terminal)
    lengths = np.diff(ends, prepend=-1)
    limit = environment.horizon if environment is not None else lengths.max(initial=0)
    at_limit = int((lengths == limit).sum())
    if len(ends) < 2 or at_limit < 0.5 * len(ends):
        return None
    return (
        f"{at_limit} of {len(ends)} terminals come exactly {limit} rows after the one before; if "
        "that is the time limit, they belong into 'timeouts'."
    )


def too_long(columns: Columns, environment: Environment | None) -> str | None:
    """Episodes longer than the environment allows hide an end."""
    if environment is None:
        return None
    longest = int(find_episodes(columns, environment).lengths.max())
    if longest <= environment.horizon + 1:
        return None
    return (
        f"the longest episode has {longest:,} rows, but {environment.name} stops after "
        f"{environment.horizon:,}; some 'timeouts' may be missing."
    )


def misaligned(columns: Columns, environment: Environment | None) -> str | None:
    """Next observations that belong to other rows make every bootstrap wrong."""
    share = broken_rows(columns, flagged_ends(columns, environment)).mean()
    if share <= MISALIGNED_SHARE:
        return None
    return (
        f"key 'next_observations' is not the next row's observation in {share:.1%} of the rows "
        "within episodes; store the observation that the action led to, or drop the key."
    )


def seams(columns: Columns, environment: Environment | None) -> str | None:
    """A seam between files, or a file that broke off, is an end without a flag."""
    broken = broken_rows(columns, flagged_ends(columns, environment))
    if not broken.any() or broken.mean() > MISALIGNED_SHARE:
        return None
    return (
        f"{broken.sum():,} rows (first {broken.argmax():,}) end an episode without 'terminals' or "
        "'timeouts', because the next row does not continue them; episodes are cut there."
    )


def leaks(columns: Columns, environment: Environment | None) -> str | None:
    """Recorders that store the observation after the reset lose the true successor."""
    last = find_episodes(columns, environment).last
    leaked = int(leaked_resets(columns, last, environment).sum())
    if not leaked:
        return None
    return (
        f"key 'next_observations' holds the next episode's start at {leaked:,} episode ends; "
        "those rows are left out."
    )


def zero_rewards(columns: Columns, environment: Environment | None) -> str | None:
    """Rewards that never come teach nothing."""
    if columns.reward.any():
        return None
    return "key 'rewards' is zero everywhere; is it the right one?"


def all_constant(columns: Columns, environment: Environment | None) -> str | None:
    """An observation that never changes carries nothing."""
    if (columns.observation != columns.observation[0]).any():
        return None
    return "key 'observations' is the same in every row; store what the agent saw."


def constant_columns(columns: Columns, environment: Environment | None) -> str | None:
    """A constant column has no spread to normalise by."""
    constant = np.flatnonzero((columns.observation == columns.observation[0]).all(axis=0))
    if not 0 < len(constant) < columns.observation.shape[1]:
        return None
    told = ", ".join(map(str, constant[:8])) + (", ..." if len(constant) > 8 else "")
    return (
        f"key 'observations' never changes in column {told}; normalising divides by a floor there."
    )


def constant_actions(columns: Columns, environment: Environment | None) -> str | None:
    """One action only has nothing to compare it with."""
    if (columns.action != columns.action[0]).any():
        return None
    return "key 'actions' is the same in every row; nothing can be learned of other actions."


def duplicates(columns: Columns, environment: Environment | None) -> str | None:
    """Counts rows whose 64-bit random projection repeats."""
    parts = (columns.observation, columns.action, columns.reward[:, None])
    generator = np.random.default_rng(0)
    digest = np.zeros(len(columns.reward), np.uint64)
    for column in (x[:, i] for x in parts for i in range(x.shape[1])):
        words = np.ascontiguousarray(column).view(np.uint32).astype(np.uint64)
        digest += words * generator.integers(1, 2**63, dtype=np.uint64)  # wraps around
    repeated = len(digest) - len(np.unique(digest))
    if repeated <= 0.01 * len(digest):
        return None
    return f"{repeated:,} of {len(digest):,} rows repeat another one; is the file joined twice?"
