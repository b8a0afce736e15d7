"""Figures of world models: `clap figures actions|open-loop|dream RUN`, `values|model RUN...`."""

import json
from collections.abc import Callable
from pathlib import Path

import click

from clap.figures.curves import model_curves, value_curves
from clap.figures.prediction import Prediction
from shared.cli.figure_options import folder_option
from shared.comparison.read import find_runs
from shared.comparison.record import Run
from shared.training.seeds import of_seed

FRAME_RATE = 10.0
"""Of films, a second: slower than life, so that one can look."""


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
@folder_option("actions.png and actions.json")
def actions_command(run: Path, data: Path | None, steps: int, seed: int, out: Path):
    """Recorded actions, and actions of RUN's latent action prior (C-LAP, appendix F).

    For every step of a stretch of a recorded episode: mean and spread of the
    actions at the 20 nearest recorded observations, and of what the model's
    prior and decoder do there.
    """
    from clap.figures.action_distribution import action_samples
    from clap.figures.drawing import draw_actions
    from shared.errors import ConfigError

    record, algorithm, one, loaded = _load(run, data)
    if not one.world_model.model.actions.models_actions:
        raise ConfigError(f"{run}: has no latent actions; train it without latent_actions=none.")
    if record.get("pixels"):
        raise ConfigError(f"{run}: learned from pixels; this figure compares states.")
    samples = action_samples(algorithm, one, loaded, steps=steps, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    title = f"{record['dataset']}, data: {record['source']}, first seed"
    draw_actions(samples, out / "actions.png", title)
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
        from clap.figures.drawing import draw_prediction
        from clap.figures.prediction import film_of, predict
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
    from clap.dreamer import AbstractDreamer
    from shared.errors import ConfigError
    from shared.loading.request import DataRequest
    from shared.runs.carry_out import load_again
    from shared.runs.trained import load_state

    _, record, algorithm, state, _ = load_state(run)
    if not isinstance(algorithm, AbstractDreamer):
        raise ConfigError(f"{run}: '{record['algorithm']}' has no world model to look into.")
    one = of_seed(state, 0)
    loaded = load_again(run, record, lambda r: DataRequest.of_record(r, data).load())
    return record, algorithm, one, loaded
