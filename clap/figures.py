"""Figures of world models: `clap figures actions|open-loop|dream RUN`, `values|model RUN...`."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from clap.action_distribution import ActionSamples
from clap.curves import model_curves, value_curves
from clap.prediction import Prediction
from shared.comparison.read import find_runs
from shared.comparison.record import Run

FRAME_RATE = 10.0
"""Of films, a second: slower than life, so that one can look."""
COLORS = {"data": "#7F7F7F", "prior and decoder": "#0072B2"}


@click.group()
def figures():
    """Draw what a world model has learned."""


_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The run's data, if they are no longer where it found them.",
)


@figures.command(name="actions")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@_DATA
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
    from clap.action_distribution import action_samples
    from clap.latent_actions import DirectActions
    from shared.errors import ConfigError

    record, algorithm, one, loaded = _load(run, data)
    if isinstance(one.world_model.model.actions, DirectActions):
        raise ConfigError(f"{run}: has no latent actions; train it without latent_actions=none.")
    if record.get("pixels"):
        raise ConfigError(f"{run}: learned from pixels; this figure compares states.")
    samples = action_samples(algorithm, one, loaded, steps=steps, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    title = f"{record['dataset']}, data: {record['source']}, first seed"
    draw(samples, out / "actions.png", title)
    summary = {"steps": len(samples.data), "seed": seed, **samples.summary()}
    (out / "actions.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    click.echo(
        f"{len(samples.data)} steps, actions in [-1, 1]: mean distance of data and model "
        f"{summary['mean_distance']:.3g}, standard deviation {summary['std_data']:.3g} of the data "
        f"and {summary['std_model']:.3g} of the model"
    )
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


def _prediction_command(name: str, dream: bool, text: str) -> None:
    """Add one of the two commands that let a model predict."""

    @figures.command(name=name, help=text)
    @click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
    @_DATA
    @click.option("--episodes", default=4, show_default=True, type=click.IntRange(1))
    @click.option(
        "--context",
        default=5,
        show_default=True,
        type=click.IntRange(1),
        help="Observations shown to the model first.",
    )
    @click.option(
        "--horizon",
        default=45,
        show_default=True,
        type=click.IntRange(1),
        help="Steps that it then goes on blind.",
    )
    @click.option("--seed", default=0, show_default=True, help="Picks the windows.")
    @click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=f"Pixels: .gif or .mp4, states: .png  [default: figures/{name}.gif or .png]",
    )
    def command(run, data, out, **options):
        from clap.prediction import film_of, predict
        from shared.environments.video import require_video, write_video
        from shared.errors import ConfigError

        record, algorithm, one, loaded = _load(run, data)
        pixels = record.get("pixels") is not None
        out = out or Path("figures") / f"{name}.{'gif' if pixels else 'png'}"
        if pixels:
            require_video(out)
        elif out.suffix != ".png":
            raise ConfigError(f"{out}: this run sees states, which are drawn as .png.")
        found = predict(algorithm, one, loaded.to_device(), dream=dream, **options)
        if pixels:
            write_video(out, film_of(found, dream=dream), FRAME_RATE)
        else:
            title = f"{record['dataset']}, data: {record['source']}"
            draw_prediction(found, out, title, dream=dream)
        click.echo(f"{out}: {told(found, dream=dream)}")


_prediction_command(
    "open-loop",
    False,
    """What RUN's model predicts from recorded actions alone, after a few observations.

    Pixels: a film of truth, prediction and difference, one below another; a column an
    episode.  States: a plot, dimension by dimension, of one episode.
    """,
)
_prediction_command(
    "dream",
    True,
    """What RUN's policy does in the model alone, from states of held-out episodes.

    Pixels: a film, a column a dream.  States: a plot of one dream beside what was
    recorded from the same start on.
    """,
)


def told(found: Prediction, *, dream: bool) -> str:
    """The figures of a prediction in words, with what they are of."""
    episodes, steps = found.reward.shape
    error, blind = found.errors(), slice(found.context, None)
    text = f"{episodes} held-out episodes, {steps - found.context} blind steps of the first seed: "
    text += f"predicted reward {found.reward[:, blind].mean():.3g} a step"
    if not dream:
        text += f", squared error a dimension {error[blind].mean():.3g} on average"
        text += f" and {error[-1]:.3g} in the last step"
    return text


def _load(run: Path, data: Path | None):
    """Record, algorithm, state of the first seed, and data of a run with a world model."""
    import jax

    from shared.cli.again import data_of_run
    from shared.errors import ConfigError
    from shared.runs.experiment import load_again
    from shared.runs.trained import load_state

    _, record, algorithm, state, _ = load_state(run)
    if not hasattr(state, "world_model"):
        raise ConfigError(f"{run}: '{record['algorithm']}' has no world model to look into.")
    one = jax.tree.map(lambda x: x[0], state)
    return record, algorithm, one, load_again(run, record, lambda r: data_of_run(r, data))


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
