"""Rewards that cannot be right: absent, summed up, rescaled, or belonging to other rows."""

import numpy as np

from shared.data.checks.linear import Products
from shared.data.checks.material import Material

_MANY = 100  # fewer rows say nothing about a distribution
_DENSE = 100.0  # an expert's return above this is not a count of goals


def zero_rewards(material: Material) -> str | None:
    """Rewards that never come teach nothing."""
    if material.columns.reward.any():
        return None
    return "key 'rewards' is zero everywhere; is it the right one?"


def constant_rewards(material: Material) -> str | None:
    """The same reward for everything prefers nothing but a longer life."""
    (low,), (high,) = material.extremes["rewards"]
    if low != high or low == 0:
        return None
    return (
        f"key 'rewards' is {low:.4g} in every row, so no action is better than another; is it the "
        "right one?"
    )


def normalised_rewards(material: Material) -> str | None:
    """Returns of normalised rewards cannot be compared with those of the simulator."""
    reward = material.columns.reward.astype(np.float64)
    if len(reward) < _MANY or abs(reward.mean()) > 1e-3 or abs(reward.std() - 1) > 1e-3:
        return None
    return (
        "key 'rewards' has mean 0 and deviation 1, as if it were normalised; store what the "
        "simulator gave, or returns and scores mean nothing."
    )


def returns_range(material: Material) -> str | None:
    """Scaled rewards, costs, or rewards summed twice, seen against the reference returns."""
    known = material.environment
    if known is None or known.maximum < _DENSE or material.quirk:
        return None
    returns = material.episodes.returns
    span = known.maximum - known.minimum
    high, low = int(returns.argmax()), int(returns.argmin())
    if returns[high] > known.minimum + 3 * span:
        found, told = high, "far above an expert's"
    elif returns[low] < known.minimum - 0.5 * span:
        found, told = low, "far below a random policy's"
    else:
        return None
    return (
        f"key 'rewards' sums to {returns[found]:,.5g} in the episode from row "
        f"{material.first[found]:,}, {told} ({known.minimum:,.5g} random, {known.maximum:,.5g} "
        "expert); are the rewards scaled, summed up, or costs?"
    )


def cumulative(material: Material) -> str | None:
    """The return so far, stored in the place of the reward."""
    reward, last = material.columns.reward, material.episodes.last
    inside = ~last[:-1]
    grows, falls = reward[1:] > reward[:-1], reward[1:] < reward[:-1]
    inner, ends = int(inside.sum()), int(last[:-1].sum())
    if inner < _MANY or ends < 2 or (grows & inside).sum() < 0.99 * inner:
        return None
    if (falls & last[:-1]).sum() < 0.9 * ends:
        return None
    return (
        "key 'rewards' grows within every episode and falls where one ends, as a running sum does; "
        "store the reward of each row alone."
    )


def only_at_ends(material: Material) -> str | None:
    """A return or a score, written into the last row."""
    known = material.environment
    if known is None or known.maximum < _DENSE or material.quirk:
        return None  # of other tasks nobody knows that they pay on the way
    reward, last = material.columns.reward, material.episodes.last
    if not reward.any() or reward[~last].any() or len(reward) < _MANY:
        return None
    row = int(np.flatnonzero(reward)[0])
    return (
        f"key 'rewards' is zero but in the last rows of episodes (first {row:,}), yet "
        f"{known.name} rewards every step; is it a return or a score?"
    )


def shifted_rewards(material: Material) -> str | None:
    """What a row and its successor tell of the reward, they tell of another row's."""
    rows, columns = material.inner, material.columns
    moving = material.scaled[1] > 1e-8
    if len(rows) < max(500, 10 * (4 * moving.sum() + 2 * columns.action.shape[1] + 1)):
        return None
    state = columns.observation[:, moving]
    known = np.concatenate(
        [state[rows], state[rows + 1] - state[rows], columns.action[rows]], axis=1
    )
    rewards = {f"reward{i}": columns.reward[rows + i, None] for i in (-1, 0, 1)}
    products = Products(known=known, squares=(known - known.mean(0)) ** 2, **rewards)

    def unexplained(offset: int) -> float:
        return products.unexplained(f"reward{offset}", "known", "squares")

    own = unexplained(0)
    for offset, where in ((1, "before"), (-1, "after")):
        if (other := unexplained(offset)) < 0.05 and other < 0.2 * own:
            return (
                f"key 'rewards' seems to hold the reward of the row {where}: a linear model leaves "
                f"{other:.1%} of it unexplained then, else {own:.1%}; move rewards by one row."
            )
    return None
