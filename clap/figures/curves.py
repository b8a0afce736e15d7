"""Curves of runs with a world model: values beside returns (figure 6), and the model itself."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.comparison import legends, panels
from shared.comparison.csv_tables import Metrics
from shared.comparison.plots import seed_means
from shared.comparison.record import Run, pool
from shared.comparison.values import draw_data
from shared.errors import RunError

VALUES = {"value_at_starts": ("at episode starts", "-"), "value": ("in dreams", "--")}
KLS = {"state_kl": ("state", "-"), "latent_action_kl": ("latent action", "--")}
ACTION_ERRORS = {
    "action_error_posterior": ("posterior", "-"),
    "action_error_prior_sample": ("prior, sample", "--"),
    "action_error_prior_mean": ("prior, mean", ":"),
}
OPEN_LOOP = "open_loop_error_"
STYLES = ("-", "--", "-.", ":")


def value_curves(runs: Sequence[Run], path: Path, *, mode: str = "deterministic") -> Path:
    """Draw scores, and below or beside them what the agent believes (C-LAP, figure 6).

    A panel of scores and one of values for every environment.  Values are discounted
    returns in units of reward: means over seeds, and grey what the data's own policy earned.

    Args:
        runs: as `read_run` returns them.
        path: the PNG file to write.
        mode: `deterministic` or `sampled`.

    Raises:
        RunError: if no run has values and an evaluation in `mode`.
    """
    tables = [(run, run.metrics()) for run in pool(runs) if run.final_episodes(mode)]
    tables = [(run, table) for run, table in tables if has(table, VALUES)]
    if not tables:
        raise RunError("no run has values and scores to draw; name runs whose agent was trained.")
    labels = list(dict.fromkeys(run.label for run, _ in tables))
    environments = sorted({run.environment for run, _ in tables})
    with panels.figure_of(2 * len(environments), path) as (figure, axes):
        for above, below, environment in zip(
            axes[: len(environments)], axes[len(environments) :], environments, strict=True
        ):
            group = [(run, table) for run, table in tables if run.environment == environment]
            for run, table in group:
                k = labels.index(run.label)
                steps, scores = run.curve(mode, panels.value_of([r for r, _ in group]))
                panels.draw_line(above, steps, scores, run.label, k)
                draw_metrics(below, run, table, VALUES, k)
            panels.finish(above, [run for run, _ in group], environment)
            draw_data(below, group[0][1])
            _finish(below, f"{environment}: values", "discounted return")
            for panel in (above, below):
                panel.set_xlabel(f"updates (all phases), {mode} policy")
        legends.legend_of(figure, axes)
    return path


def model_curves(runs: Sequence[Run], path: Path) -> Path:
    """Draw how good the models are on held-out episodes, over their updates.

    Panels: open-loop error of observations by number of steps, both divergences, and
    errors of actions decoded from posterior and prior latents; means over seeds.

    Raises:
        RunError: if no run trained a world model.
    """
    tables = [(run, run.metrics()) for run in pool(runs)]
    tables = [(run, table) for run, table in tables if has(table, [f"{OPEN_LOOP}1"])]
    if not tables:
        raise RunError("no run has looked at a world model; name runs that trained one.")
    with panels.figure_of(3, path) as (figure, (loop, kl, action)):
        for k, (run, table) in enumerate(tables):
            draw_metrics(loop, run, table, _horizons(table), k)
            held_out = {f"validation_{name}": style for name, style in KLS.items()}
            draw_metrics(kl, run, table, held_out, k)
            draw_metrics(action, run, table, ACTION_ERRORS, k)
        loop.set_yscale("log")
        _finish(loop, "open-loop prediction", "squared error a dimension")
        _finish(kl, "divergence of posterior and prior", "nats a step")
        _finish(action, "decoded actions", "mean absolute error")
        for axis in (loop, kl, action):
            axis.set_xlabel("updates")
        legends.legends_below(figure, (loop, kl, action))
        figure.suptitle(f"held-out episodes, {panels.sources([r for r, _ in tables])}", fontsize=10)
    return path


def has(table: Metrics, names) -> bool:
    """Does the table hold a value of any of these metrics?"""
    return any(len(seed_means(table, name)[0]) for name in names)


def draw_metrics(
    axis: Any, run: Run, table: Metrics, names: dict[str, tuple[str, str]], k: int
) -> None:
    """One line a metric of `names`, name -> (text, style), that the run has; in color `k`."""
    color = panels.COLORS[k % len(panels.COLORS)]
    for name, (text, style) in names.items():
        steps, values = seed_means(table, name)
        if len(steps):
            label = f"{panels.plain(run.label)}, {text}"
            axis.plot(steps, values, style, color=color, label=label)


def _horizons(table: Metrics) -> dict[str, tuple[str, str]]:
    found = [name for name in table.values if name.startswith(OPEN_LOOP)]
    numbers = sorted(int(name.removeprefix(OPEN_LOOP)) for name in found)
    styles = zip(numbers, itertools.cycle(STYLES))
    return {f"{OPEN_LOOP}{n}": (panels.counted(n, "step"), style) for n, style in styles}


def _finish(axis: Any, title: str, unit: str) -> None:
    axis.set_title(panels.plain(title))
    axis.set_ylabel(unit)
    panels.thousands(axis)
