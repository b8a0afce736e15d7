"""Figures of the CNF paper: `cnf figures moons` and `cnf figures nll`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np

from cnf.matching_moons import matching_command
from cnf.mmd import mmd_command
from cnf.moons import (
    AMPLITUDES,
    BASES,
    QUANTILE,
    SAMPLES,
    Fitted,
    Sweep,
    experiment,
    log_prob,
    two_moons,
)
from cnf.panels import COLORS, DATA_COLOR, OUTSIDE, SHOWN, draw_points, panels
from shared.cli.figure_options import folder_option, training_options

GRID = 200


def moons(
    out: Path, *, seed: int = 0, steps: int = 2000, advance: Callable[[int], Any] = lambda n: None
) -> dict[str, Any]:
    """Draw figures 2 and 3 of the paper and count the samples outside the data.

    Arguments:
        out: folder, made if it does not exist; gets `moons-density.png` (figure
            2), `moons-amplitude.png` (figure 3) and `moons.json`, the result.
        seed: of data, training and samples.
        steps: updates of each of the two flows.
        advance: called with the number of updates since its last call.

    Returns:
        `nll` by base, on fresh data in nats, and `outside` by case (a base and
        its box) and amplitude: the fraction of samples farther from their
        nearest data point than 99.9 % of fresh data.
    """
    out.mkdir(parents=True, exist_ok=True)
    fitted = {base: experiment(base, seed=seed, steps=steps, advance=advance) for base in BASES}
    sweeps = {case: sweep for fit in fitted.values() for case, sweep in fit.sweeps.items()}
    title = f"Two moons, {steps:,} updates, seed {seed}"
    _draw_figure_2(fitted, out / "moons-density.png", title)
    _draw_figure_3(sweeps, two_moons(SHOWN, seed=seed), out / "moons-amplitude.png", title)
    result = {
        "seed": seed,
        "steps": steps,
        "quantile": QUANTILE,
        "nll": {base: fit.nll for base, fit in fitted.items()},
        "outside": {
            case: {f"{amplitude:g}": share for amplitude, share in sweep.outside.items()}
            for case, sweep in sweeps.items()
        },
    }
    (out / "moons.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


@click.group()
def figures():
    """Draw figures of the papers."""


figures.add_command(matching_command)
figures.add_command(mmd_command)


@figures.command(name="moons")
@folder_option("moons-density.png, moons-amplitude.png and moons.json")
@training_options(2000, "each of the two flows")
def moons_command(out: Path, seed: int, steps: int):
    """Two moons: density, samples and an amplitude sweep (CNF, figures 2 and 3).

    Trains a flow with a normal and one with a uniform base in about a minute,
    and counts how many samples leave the data when latents are pushed outward.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("fitting two flows", total=len(BASES) * steps)
        result = moons(out, seed=seed, steps=steps, advance=lambda n: bars.advance(task, n))
    Console().print(_table(result))
    click.echo(f"{out}: moons-density.png, moons-amplitude.png, moons.json")


@figures.command(name="nll")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default=Path("figures/nll.png"),
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The picture.",
)
def nll_command(runs: tuple[Path, ...], out: Path):
    """Training and validation likelihood of the action encoders of RUNs (CNF, figure 8)."""
    from shared.comparison.plots import nll_curves
    from shared.comparison.read import find_runs

    out.parent.mkdir(parents=True, exist_ok=True)
    click.echo(nll_curves(find_runs(runs), out))


def _table(result: dict[str, Any]):
    from rich.table import Table

    told = f"Of {SAMPLES:,} samples; outside: {OUTSIDE}. {result['steps']:,} updates of each flow, "
    caption = f"{told}seed {result['seed']}."
    title = "Samples outside the data, by amplitude of the latent"
    table = Table(title=title, caption=caption, caption_justify="left")
    table.add_column("latents")
    for amplitude in AMPLITUDES:
        table.add_column(f"{amplitude:g}", justify="right")
    for case, shares in result["outside"].items():
        table.add_row(case, *(f"{share:.1%}" for share in shares.values()))
    return table


def _draw_figure_2(fitted: dict[str, Fitted], path: Path, title: str) -> None:
    """Density and samples of both bases, side by side."""
    with panels(1, 2 * len(fitted), path) as (figure, axes):
        for k, (base, fit) in enumerate(fitted.items()):
            density, samples = axes[0, 2 * k : 2 * k + 2]
            heat = _draw_density(density, fit)
            density.set_title(f"{base} base: density (NLL {fit.nll:.2f} nats)")
            draw_points(samples, next(iter(fit.sweeps.values())).samples[1.0], COLORS[k])
            samples.set_title(f"{base} base: samples")
        figure.colorbar(heat, ax=axes, shrink=0.8, pad=0.01, label="density")
        figure.suptitle(f"{title}; likelihood of fresh data", fontsize=10)


def _draw_figure_3(sweeps: dict[str, Sweep], data: np.ndarray, path: Path, title: str) -> None:
    """Samples over the data: a row for each case, a column for each amplitude."""
    with panels(len(sweeps), len(AMPLITUDES), path) as (figure, axes):
        figure.suptitle(f"{title}; grey: data; outside: {OUTSIDE}", fontsize=10)
        for k, (case, sweep) in enumerate(sweeps.items()):
            for axis, amplitude in zip(axes[k], AMPLITUDES, strict=True):
                draw_points(axis, data, DATA_COLOR)
                draw_points(axis, sweep.samples[amplitude], COLORS[k])
                axis.set_title(f"amplitude {amplitude:g}: {sweep.outside[amplitude]:.1%} outside")
            axes[k, 0].set_ylabel(case)


def _draw_density(axis: Any, fit: Fitted) -> Any:
    ticks = jnp.linspace(-1 + 1 / GRID, 1 - 1 / GRID, GRID)
    points = jnp.stack(jnp.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    density = np.exp(np.asarray(jax.jit(log_prob)(fit.flow, points))).reshape(GRID, GRID)
    # One scale for both bases, so that their colours can be compared.
    return axis.imshow(density, origin="lower", extent=(-1, 1, -1, 1), cmap="magma", vmin=0, vmax=3)
