"""The figures of a health report: lengths, returns, use of the action range, rest and drift."""

from typing import Any

import numpy as np
from jaxtyping import Float

from shared.comparison.drawing import Drawing
from shared.comparison.panels import COLORS, plain
from shared.data.recording.columns import Columns
from shared.data.recording.ends import Episodes

MOST = 60
"""Columns that a figure shows one by one."""
_LINE, _WIDTH = 0.17, 4.4
"""Inches of such a column, and of a panel, whose words can then be read on a telephone."""
Names = tuple[list[str], list[str]]


def drawings_of(
    columns: Columns, action: Float[np.ndarray, "rows action"], episodes: Episodes, names: Names
) -> list[Drawing]:
    """All figures.

    Arguments:
        columns: all rows.
        action: the same rows' actions in [-1, 1].
        episodes: of the rows.
        names: of the numbers of an observation and of an action.
    """
    return [
        _episodes(episodes),
        _range(action, names[1]),
        _rest(columns, episodes, names),
        *([_drift(columns, episodes, names[0])] if len(episodes.lengths) > 2 else []),
    ]


def _episodes(episodes: Episodes) -> Drawing:
    def lengths(axis: Any) -> None:
        _histogram(axis, episodes.lengths, "rows of an episode", COLORS[0])

    def returns(axis: Any) -> None:
        known = episodes.returns[np.isfinite(episodes.returns)]
        _histogram(axis, known, "return of an episode", COLORS[2])

    if not episodes.returns.any():
        caption = "How long episodes are.  No reward was recorded."
        return Drawing("episodes", "Episodes", caption, (lengths,), _WIDTH)
    caption = "How long episodes are, and what they earned (raw sums of rewards)."
    return Drawing("episodes", "Episodes", caption, (lengths, returns), _WIDTH, columns=2)


def _histogram(axis: Any, x: np.ndarray, name: str, color: str) -> None:
    bins = min(40, max(8, int(2 * np.sqrt(max(len(x), 1)))))
    if len(x) and np.ptp(x) == 0:
        bins = np.array([x[0] - 0.5, x[0] + 0.5])
    axis.hist(x, bins=bins, color=color)
    axis.set(xlabel=name, ylabel="episodes")
    axis.yaxis.get_major_locator().set_params(integer=True)


def _range(action: np.ndarray, names: list[str]) -> Drawing:
    action, names = action[:, :MOST], names[:MOST]

    def draw(axis: Any) -> None:
        known = np.where(np.isfinite(action), action, np.nan)
        ends = np.nanquantile(known, (0.0, 0.01, 0.5, 0.99, 1.0), axis=0)
        rows = np.arange(len(names))
        axis.hlines(rows, ends[0], ends[4], color="#666666", linewidth=1)
        axis.barh(rows, ends[3] - ends[1], left=ends[1], height=0.6, color=COLORS[0])
        axis.plot(ends[2], rows, "|", color=COLORS[4], markersize=9, markeredgewidth=2)
        for end in (-1, 1):
            axis.axvline(end, color=COLORS[1], linewidth=1, linestyle="--")
        axis.set(xlabel="action, scaled to ±1")
        _name_rows(axis, names)

    caption = (
        "Of each action: from the least to the greatest (line), the middle 98 % (bar) and the "
        "median, between the ends of the range that policies answer in (dashed). A bar that is "
        "short has a range much wider than what the data use; one that ends at the dashed line "
        "may be clipped."
    )
    return _tall("range", "Use of the action range", caption, draw, len(names))


def _rest(columns: Columns, episodes: Episodes, names: Names) -> Drawing:
    inside = ~episodes.last[:-1]

    def panel(x: np.ndarray, own: list[str], what: str, color: str):
        def draw(axis: Any) -> None:
            still = (x[1:, :MOST] == x[:-1, :MOST])[inside].mean(0) if inside.any() else [0.0]
            axis.barh(np.arange(len(own)), 100 * np.asarray(still), height=0.7, color=color)
            axis.set(xlabel=f"% of steps without a change, {what}", xlim=(0, 100))
            _name_rows(axis, own)

        return draw

    panels = (
        panel(columns.observation, names[0][:MOST], "observation", COLORS[0]),
        panel(columns.action, names[1][:MOST], "action", COLORS[2]),
    )
    caption = (
        "A sensor that stays the same while its motor is commanded is read too seldom, is rounded, "
        "or has stopped."
    )
    heights = tuple(0.9 + _LINE * max(6, len(own[:MOST])) for own in names)
    return Drawing("rest", "Columns at rest", caption, panels, _WIDTH, heights, 2)


def _drift(columns: Columns, episodes: Episodes, names: list[str]) -> Drawing:
    x, names = columns.observation[:, :MOST].astype(np.float64), names[:MOST]
    ends = np.flatnonzero(episodes.last) + 1
    starts = np.append(0, ends[:-1])

    def draw(axis: Any) -> None:
        level = np.array([np.nanmedian(x[a:b], axis=0) for a, b in zip(starts, ends, strict=True)])
        middle = np.nanmedian(level, axis=0)
        spread = np.nanstd(x, axis=0)
        moved = (level - middle) / np.where(spread > 1e-9, spread, 1.0)
        image = axis.imshow(
            moved.T, aspect="auto", cmap="PuOr", vmin=-2, vmax=2, interpolation="nearest"
        )
        axis.set(xlabel="episode")
        axis.grid(False)
        _name_rows(axis, names, turned=False)
        axis.figure.colorbar(image, ax=axis, label="deviations", location="bottom", shrink=0.7)

    caption = (
        "The median of every column in each episode, less that of all episodes, in deviations of "
        "the column. A line that changes its color at one episode and keeps it was moved, "
        "repaired or calibrated anew there."
    )
    return _tall("drift", "From episode to episode", caption, draw, len(names) + 5)


def _tall(name: str, title: str, caption: str, draw, lines: int) -> Drawing:
    return Drawing(name, title, caption, (draw,), _WIDTH, (0.9 + _LINE * max(6, lines),))


def _name_rows(axis: Any, names: list[str], *, turned: bool = True) -> None:
    every = 1 if len(names) <= MOST else 10
    places = np.arange(0, len(names), every)
    axis.set_yticks(places, [plain(names[k]) for k in places], fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    if turned:
        axis.grid(axis="y", visible=False)
