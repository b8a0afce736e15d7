"""Rows that say nothing new: repeated, padded, frozen, or counting the rows."""

import numpy as np

from shared.data.checks.material import Material


def duplicates(material: Material) -> str | None:
    """Files that were joined twice."""
    repeated = int(_repeats(material.digests).sum())
    if repeated <= 0.01 * len(material.digests):
        return None
    rows, first = len(material.digests), _first_repeat(material.digests)
    return (
        f"{repeated:,} of {rows:,} rows repeat another one, first row {first:,}; "
        "is the file joined twice? Drop the copies."
    )


def duplicated_episodes(material: Material) -> str | None:
    """A log that was exported twice counts twice."""
    place = np.arange(len(material.digests)) - material.first[material.episodes.number]
    weighed = material.digests * (place.astype(np.uint64) * np.uint64(2) + np.uint64(1))
    digest = np.add.reduceat(weighed, material.first)
    long = material.episodes.lengths > 1
    repeated = int(_repeats(digest[long]).sum())
    if not repeated:
        return None
    row = int(material.first[long][_first_repeat(digest[long])])
    return (
        f"{repeated:,} of {len(digest):,} episodes repeat another one, the first "
        f"from row {row:,}; drop the copies, or they count twice."
    )


def _repeats(digest: np.ndarray) -> np.ndarray:
    """Which of the sorted digests are those before them; far faster than `np.unique`."""
    ordered = np.sort(digest)
    return ordered[1:] == ordered[:-1]


def _first_repeat(digest: np.ndarray) -> int:
    """The first place whose digest came before."""
    order = np.argsort(digest, kind="stable")
    return int(order[1:][digest[order[1:]] == digest[order[:-1]]].min())


def padding(material: Material) -> str | None:
    """Rows behind the end of an episode, filled up with zeros."""
    observation, action, reward, *_ = material.columns
    rows = np.flatnonzero((reward == 0) & (observation[:, 0] == 0) & (action[:, 0] == 0))
    rows = rows[~observation[rows].any(axis=1) & ~action[rows].any(axis=1)]
    if len(rows) < 2 or not observation.any():
        return None
    return (
        f"{len(rows):,} rows are zero in 'observations', 'actions' and 'rewards', first row "
        f"{rows[0]:,}, as if episodes were padded; drop those rows."
    )


def frozen(material: Material) -> str | None:
    """A sensor that is read more seldom than the motors are set."""
    observation, last = material.columns.observation, material.episodes.last
    rows = np.flatnonzero((observation[1:, 0] == observation[:-1, 0]) & ~last[:-1])
    rows = rows[(observation[rows + 1] == observation[rows]).all(axis=1)]
    inside = len(last) - int(last.sum())
    if inside < 20 or len(rows) <= 0.1 * inside:
        return None
    return (
        f"key 'observations' does not change from one row to the next in {len(rows):,} of "
        f"{inside:,} steps, first in row {rows[0]:,}; record at the rate of the slowest sensor."
    )


def clock(material: Material) -> str | None:
    """A time stamp or a row number gives away the episode and never comes back."""
    x, last = material.columns.observation, material.episodes.last
    inside = ~last[:-1]
    head = slice(0, 2000)
    if inside[head].sum() < 100:
        return None
    step = np.diff(x[: head.stop + 1], axis=0)[inside[head]]
    for column in np.flatnonzero((step > 0).all(axis=0)):
        steps = np.diff(x[:, column].astype(np.float64))[inside]
        if (steps > 0).all() and steps.std() < 0.2 * steps.mean():
            return (
                f"key 'observations' grows by about {steps.mean():.4g} in every row in column "
                f"{column}, as a clock or a row number does; leave that column out."
            )
    return None
