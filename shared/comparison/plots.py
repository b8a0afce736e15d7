"""Learning curves, loss curves and performance profiles as PNG files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.comparison import legends, panels
from shared.comparison.across import shared_scores
from shared.comparison.csv_tables import Metrics
from shared.comparison.drawing import Drawing, saved
from shared.comparison.record import Run, pool
from shared.comparison.statistics import bootstrap_interval, performance_profile
from shared.errors import RunError
from shared.record.schema import MODES

NLL_STYLES = {"train_nll": ("training", "-"), "validation_nll": ("validation", "--")}


def learning_curves(
    runs: Sequence[Run], path: Path, *, mode: str = "deterministic", axis: str = "updates"
) -> Path:
    """Draw scores over updates or hours: one panel per environment, one line per label.

    Args:
        runs: as `read_run` returns them.
        path: the file to write, `.png`, `.svg` or `.pdf`.
        mode: `deterministic` or `sampled`.
        axis: one of `AXES`.

    Raises:
        RunError: if no run has an evaluation in `mode`.
    """
    return saved(curves(runs, mode=mode, axis=axis), path)


def curves(runs: Sequence[Run], *, mode: str = "deterministic", axis: str = "updates") -> Drawing:
    """Learning curves: a panel an environment, a line a label.

    A line is the mean over seeds of each seed's mean score, its band the 95 %
    bootstrap interval over seeds (the range for fewer than three).  The dashed
    line is the mean score of the behaviour data.

    Args:
        runs: as `read_run` returns them.
        mode: `deterministic` or `sampled`.
        axis: `updates` of all phases; `hours` of training, or `cpu-hours`, which are hours times
            busy cores. Times are drawn as seconds or minutes where they are few.

    Raises:
        RunError: if no run has an evaluation in `mode`, or none has recorded its CPU time.
    """
    scored = [run for run in pool(runs) if run.final_episodes(mode)]
    if not scored:
        raise RunError(f"there is no {mode} evaluation to draw; train until the first one is done.")
    labels = list(dict.fromkeys(run.label for run in scored))
    if axis == "cpu-hours":
        scored = [run for run in scored if run.origins and run.origins[0].cores is not None]
    if not scored:
        raise RunError("no run has recorded its CPU time; draw hours or updates instead.")
    place, name = _axis(scored, mode, axis)

    def draw(environment: str, panel: Any) -> None:
        group = [run for run in scored if run.environment == environment]
        # Points at one and the same update would hide each other.
        apart = len(group) > 1 and all(len(run.curve(mode)[0]) == 1 for run in group)
        for run in group:
            steps, values = run.curve(mode, panels.value_of(group))
            k = labels.index(run.label)
            x = np.array([float(k)]) if apart else place(run, steps)
            panels.draw_line(panel, x, values, run.label, k)
        panels.finish(panel, group, environment)
        panel.set_xlabel(f"{name}, {mode} policy")
        if apart:
            panel.set_xlabel(f"last policies, {mode}; marks as in the legend")
            panel.set_xticks([])
        elif axis != "updates":
            panels.plain_ticks(panel)

    return Drawing(
        f"curves-{axis}",
        "Learning curves",
        "Mean over seeds of each seed's mean over the episodes of an evaluation. Bands: 95 % "
        "bootstrap intervals over seeds, or the range of fewer than three. Dashed: the mean of "
        "the behaviour data.",
        tuple(partial(draw, name) for name in sorted({run.environment for run in scored})),
    )


def _axis(runs: Sequence[Run], mode: str, axis: str):
    """Where steps of a run lie, `(run, steps) -> x`, and the name of that axis with its unit."""
    if axis == "updates":
        return (lambda run, steps: steps), "updates (all phases)"
    place, kind = (Run.hours, "training") if axis == "hours" else (Run.cpu_hours, "CPU time")
    longest = max(np.max(_times(place, run, run.curve(mode)[0]), initial=0) for run in runs)
    unit, scale = panels.time_unit(longest)
    return (lambda run, steps: scale * _times(place, run, steps)), f"{unit} of {kind}"


def _times(place, run: Run, steps) -> np.ndarray:
    """Hours at these steps; none of a run that recorded none."""
    hours = place(run, steps)
    return np.full(len(steps), np.nan) if hours is None else hours


def curve_of_run(run: Run, path: Path) -> Path:
    """Draw one run: its deterministic and sampled policies, each seed as a thin line.

    Raises:
        RunError: if the run has no evaluation yet.
    """
    modes = [mode for mode in MODES if run.final_episodes(mode)]
    if not modes:
        raise RunError(
            f"{run.folders[0]} has no evaluation to draw; train until the first is done."
        )
    with panels.figure_of(1, path) as (figure, (axis,)):
        for k, mode in enumerate(modes):
            steps, values = run.curve(mode, panels.value_of([run]))
            if values.shape[1] > 1:
                axis.plot(steps, values, color=panels.COLORS[k], alpha=0.35, linewidth=0.8)
            panels.draw_line(axis, steps, values, mode, k, style=("-", "--")[k])
        panels.finish(axis, [run], f"{run.label} on {run.environment}")
        axis.set_xlabel("updates (all phases)")
        legends.legend_of(figure, [axis])
    return path


def nll_curves(runs: Sequence[Run], path: Path) -> Path:
    """Draw the pretraining of the action encoder (CNF, figure 8): NLL over updates.

    Solid lines are training batches, dashed lines held-out episodes, both
    means over seeds; the dot marks the lowest validation value, around which
    the encoder is taken.  For a VAE the value is its bound.

    Raises:
        RunError: if no run has the metrics `train_nll` or `validation_nll`.
    """
    tables = [(run, run.metrics()) for run in pool(runs)]
    tables = [(run, t) for run, t in tables if any(len(seed_means(t, n)[0]) for n in NLL_STYLES)]
    if not tables:
        raise RunError("no run has the metrics train_nll or validation_nll; name runs of CNF.")
    labels = list(dict.fromkeys(run.label for run, _ in tables))
    environments = sorted({run.environment for run, _ in tables})
    with panels.figure_of(len(environments), path) as (figure, axes):
        for axis, environment in zip(axes, environments, strict=True):
            group = [(run, table) for run, table in tables if run.environment == environment]
            for run, table in group:
                _draw_nll(axis, run, table, labels.index(run.label))
            axis.set_title(f"{panels.plain(environment)}\n{panels.sources([r for r, _ in group])}")
            axis.set_ylabel("negative log-likelihood (nats per action)")
            axis.set_xlabel("updates")
            panels.thousands(axis)
        legends.legend_of(figure, axes)
    return path


def _draw_nll(axis: Any, run: Run, table: Metrics, k: int) -> None:
    color = panels.COLORS[k % len(panels.COLORS)]
    for name, (text, style) in NLL_STYLES.items():
        steps, values = seed_means(table, name)
        if not len(steps):
            continue
        width = 1.1 if name == "train_nll" else 1.9
        seeds = panels.counted(len(run.seeds), "seed")
        label = f"{panels.plain(run.label)}, {text} ({seeds})"
        axis.plot(steps, values, style, color=color, linewidth=width, label=label)
        if name == "validation_nll":
            best = int(values.argmin())
            axis.plot(steps[best], values[best], "o", color=color, markersize=6)


def seed_means(table: Metrics, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps (n,) and the mean over seeds (n,) of a metric, blanks left out.

    Only steps at which every seed has the metric are kept.
    """
    values = table.values.get(name, np.full(len(table.step), np.nan))
    filled = np.isfinite(values)
    steps, where = np.unique(table.step[filled], return_inverse=True)
    counts = np.bincount(where, minlength=len(steps))
    sums = np.bincount(where, weights=values[filled], minlength=len(steps))
    whole = counts == len(set(table.seed[filled].tolist()))
    return steps[whole], sums[whole] / counts[whole]


def performance_profiles(runs: Sequence[Run], path: Path, *, mode: str = "deterministic") -> Path:
    """Draw `profiles` into a file, `.png`, `.svg` or `.pdf`.

    Raises:
        RunError: if the labels share no scored environment.
    """
    return saved(profiles(runs, mode=mode), path)


def profiles(runs: Sequence[Run], *, mode: str = "deterministic") -> Drawing:
    """The share of runs above each score, over the environments that all labels share.

    Bands are 95 % stratified bootstrap intervals where every environment has
    two seeds or more.

    Raises:
        RunError: if the labels share no scored environment.
    """
    pooled = pool(runs)
    shared = shared_scores(pooled, mode)
    if not shared.environments:
        raise RunError(f"the runs share no environment with {mode} scores; name runs that do.")
    order = list(dict.fromkeys(run.label for run in pooled))
    every = np.concatenate([task for label in shared.scores for task in shared.tasks(label)])
    margin = 0.05 * max(float(np.ptp(every)), 1.0)
    thresholds = np.linspace(every.min() - margin, every.max() + margin, 101)
    profile = partial(performance_profile, thresholds=thresholds)

    def draw(axis: Any) -> None:
        for label in shared.scores:
            color, _, line = panels.look(order.index(label))
            tasks = shared.tasks(label)
            steps = {"drawstyle": "steps-post", "label": panels.plain(label)}
            axis.plot(thresholds, profile(tasks), line, color=color, **steps)
            interval = bootstrap_interval(profile, tasks, repetitions=panels.REPETITIONS)
            if interval is not None:
                axis.fill_between(
                    thresholds, *interval, step="post", color=color, alpha=0.16, linewidth=0
                )
        axis.set_xlabel(f"normalized score ({mode} policy)")
        axis.set_ylabel("share of runs above")
        count = panels.counted(len(shared.environments), "environment")
        used = [run for run in runs if run.environment in shared.environments]
        axis.set_title(f"{count}\n{panels.sources(used)}")

    return Drawing(
        "profiles",
        "Performance profiles",
        "Share of runs that score above each score, over the environments that all algorithms "
        "share. Bands: 95 % intervals, bootstrapped over seeds within each environment.",
        (draw,),
    )
