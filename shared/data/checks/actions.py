"""Actions that cannot be right: out of range, scaled twice, saturated, or never changing."""

import numpy as np

from shared.data.checks.material import Material, constant_of

ACTION_TOLERANCE = 1e-3
"""Actions this far beyond ±1 are rounding and are clipped with a warning."""
SATURATED_SHARE = 0.95


def action_range(material: Material) -> str | None:
    """Policies answer within ±1, so such actions could never be imitated."""
    if material.extremes["actions"].size <= 1 + ACTION_TOLERANCE:
        return None
    size = np.abs(material.columns.action)
    rows = (size > 1 + ACTION_TOLERANCE).any(axis=1)
    swapped = material.extremes["observations"].size <= 1 + ACTION_TOLERANCE
    mend = "; or are they 'observations', and the two keys swapped?" if swapped else "."
    if material.declared:
        return (
            f"key 'actions' lies beyond its declared range in {rows.mean():.1%} of the rows, first "
            f"in row {rows.argmax():,}; correct the range (action_low and action_high), or clip."
        )
    return (
        f"key 'actions' lies beyond ±1 in {rows.mean():.1%} of the rows (largest size "
        f"{size.max():.4g}, first in row {rows.argmax():,}); declare the range of the commands, as "
        "attributes 'action_low' and 'action_high' or with --set action_range=[low,high], or clip "
        f"or scale the actions to ±1{mend}"
    )


def action_rounding(material: Material) -> str | None:
    """A little beyond ±1 is the rounding of a tanh or a clip."""
    largest = material.extremes["actions"].size
    if not 1 < largest <= 1 + ACTION_TOLERANCE:
        return None
    rows = (np.abs(material.columns.action) > 1).any(axis=1)
    return (
        f"key 'actions' lies up to {largest - 1:.1e} beyond ±1 in {rows.mean():.1%} of the rows, "
        f"first in row {rows.argmax():,}; clipped."
    )


def action_scale(material: Material) -> str | None:
    """Actions scaled to 0..1, or twice, use a part of what the simulator takes."""
    low, high = material.extremes["actions"]
    if material.extremes["actions"].size == 0:
        return None
    if (low >= 0).all() and (high <= 1 + ACTION_TOLERANCE).all() and len(low) > 1:
        return "key 'actions' is nowhere negative; if it is scaled to 0..1, scale it to ±1."
    if (largest := material.extremes["actions"].size) >= 0.05:
        return None
    return (
        f"key 'actions' never exceeds {largest:.2g} in size; if it is scaled twice, scale it to ±1."
    )


def saturated(material: Material) -> str | None:
    """A clipped or discrete action has lost what it was."""
    action = material.columns.action
    action = action[:: max(1, len(action) // 100_000)]
    share = float((np.abs(action) >= 0.999).mean())
    if share < SATURATED_SHARE:
        return None
    return (
        f"key 'actions' is at ±1 in {share:.1%} of its values; if they were clipped, scale them to "
        "±1 instead."
    )


def constant_actions(material: Material) -> str | None:
    """One action only has nothing to compare it with."""
    low, high = material.extremes["actions"]
    if (low != high).any():
        return None
    return (
        "key 'actions' is the same in every row, so nothing can be learned of other actions; store "
        "what was sent to the motors."
    )


def constant_motors(material: Material) -> str | None:
    """A motor that never moves, or an action that was padded."""
    told = constant_of(material, "actions")
    return (
        f"key 'actions' never changes in column {told}; is that motor unused? Leave it out."
        if told
        else None
    )
