"""Plots of actions and of predictions, a panel a dimension."""

from pathlib import Path

import numpy as np

from clap.figures.action_distribution import ActionSamples
from clap.figures.prediction import Prediction

COLORS = {"data": "#7F7F7F", "prior and decoder": "#0072B2"}


def draw_actions(samples: ActionSamples, path: Path, title: str) -> None:
    """Mean ± one standard deviation over the neighbours, a panel a dimension of the action."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = samples.data.shape[-1]
    figure = Figure(figsize=(8, 1.6 * size + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(size, 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    steps = np.arange(len(samples.data))
    for i, axis in enumerate(axes):
        for (name, color), actions in zip(COLORS.items(), samples, strict=True):
            mean, std = actions[..., i].mean(1), actions[..., i].std(1)
            axis.plot(steps, mean, color=color, linewidth=1.2, label=name)
            axis.fill_between(steps, mean - std, mean + std, color=color, alpha=0.25, linewidth=0)
        axis.set(ylabel=f"action {i + 1}", ylim=(-1.05, 1.05), xlim=(0, max(1, len(steps) - 1)))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    axes[-1].set_xlabel("step of the episode's stretch")
    told = "Actions at the nearest recorded observations, mean ± standard deviation"
    figure.suptitle(f"{told}\n{title}", fontsize=10)
    figure.savefig(path, format="png", dpi=150, metadata={"Software": None})


def draw_prediction(prediction: Prediction, path: Path, title: str, *, dream: bool) -> None:
    """The first episode, a panel a dimension of the observation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size, columns = prediction.truth.shape[-1], 4
    rows = -(-size // columns)
    figure = Figure(figsize=(10, 1.3 * rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    steps, real = np.arange(prediction.truth.shape[1]), prediction.observed[0]
    name = "dreamed" if dream else "predicted"
    for i, axis in enumerate(axes[:size]):
        axis.plot(steps[real], prediction.truth[0, real, i], color=COLORS["data"], label="recorded")
        color = COLORS["prior and decoder"]
        axis.plot(steps, prediction.predicted[0, :, i], color=color, linewidth=1, label=name)
        axis.axvline(prediction.context - 0.5, color="black", linewidth=0.6)
        axis.set_title(f"dimension {i + 1}", fontsize=7)
        axis.tick_params(labelsize=6)
    for axis in axes[size:]:
        axis.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.supylabel("observation, in the simulator's units", fontsize=8)
    told = f"Steps of the first of {len(prediction.truth)} episodes, blind from the line on"
    figure.suptitle(f"{told}: {title}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=150, metadata={"Software": None})
