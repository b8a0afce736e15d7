"""Figures of the C-LAP paper: `clap figures actions RUN`, `values RUN...`, `model RUN...`."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from clap.action_distribution import ActionSamples
from clap.curves import model_curves, value_curves
from shared.comparison.read import find_runs
from shared.comparison.record import Run

COLORS = {"data": "#7F7F7F", "prior and decoder": "#0072B2"}


@click.group()
def figures():
    """Draw figures of the paper."""


@figures.command(name="actions")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The run's data, if they are no longer where it found them.",
)
@click.option("--steps", default=100, show_default=True, type=click.IntRange(1), help="Rows shown.")
@click.option("--seed", default=0, show_default=True, help="Picks the episode and the samples.")
@click.option(
    "--out",
    default=Path("figures"),
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for actions.png and actions.json.",
)
def actions_command(run: Path, data: Path | None, steps: int, seed: int, out: Path):
    """Recorded actions, and actions of RUN's latent action prior (C-LAP, appendix F).

    For every step of a stretch of a recorded episode: mean and spread of the
    actions at the 20 nearest recorded observations, and of what the model's
    prior and decoder do there.
    """
    import jax

    from clap.action_distribution import action_samples
    from clap.latent_actions import DirectActions
    from shared.cli.again import data_of_run
    from shared.errors import ConfigError
    from shared.experiment import load_again
    from shared.trained import load_state

    _, record, algorithm, state, _ = load_state(run)
    if not hasattr(state, "world_model"):
        raise ConfigError(f"{run}: '{record['algorithm']}' has no world model to sample from.")
    one = jax.tree.map(lambda x: x[0], state)
    if isinstance(one.world_model.model.actions, DirectActions):
        raise ConfigError(f"{run}: has no latent actions; train it without latent_actions=none.")
    loaded = load_again(run, record, lambda record: data_of_run(record, data))
    samples = action_samples(algorithm, one, loaded, steps=steps, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    draw(samples, out / "actions.png", f"{record['dataset']} ({record['source']})")
    summary = {"steps": len(samples.data), "seed": seed, **samples.summary()}
    (out / "actions.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    click.echo("  ".join(f"{name} {value:.3g}" for name, value in summary.items()))
    click.echo(f"{out}: actions.png, actions.json")


def _curves_command(name: str, draw: Callable[[list[Run], Path], Path], help_text: str):
    @figures.command(name=name, help=help_text)
    @click.argument(
        "runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path)
    )
    @click.option(
        "--out",
        default=Path(f"figures/{name}.png"),
        show_default=True,
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The picture.",
    )
    def command(runs: tuple[Path, ...], out: Path):
        found = find_runs(runs)
        out.parent.mkdir(parents=True, exist_ok=True)
        click.echo(draw(found, out))


_curves_command("values", value_curves, "Values of RUNs beside their scores (C-LAP, figure 6).")
_curves_command("model", model_curves, "Errors and divergences of the world models of RUNs.")


def draw(samples: ActionSamples, path: Path, title: str) -> None:
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
    axes[0].legend(loc="lower right", ncols=2, fontsize=8)
    axes[-1].set_xlabel("step of the episode's stretch")
    figure.suptitle(f"Actions at the nearest recorded observations: {title}", fontsize=10)
    figure.savefig(path, format="png", dpi=150, metadata={"Software": None})
