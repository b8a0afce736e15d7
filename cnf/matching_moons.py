"""The two moons under flow matching, `cnf figures matching`: what a box of the noise reaches.

The twin of CNF's figure 3 for the decoder of DSRL (shared/models/flow_matching.py).  Its
noise has no edge, so a box has two sides: how much of the data lies inside, by the noise
that the decoder carries to each point of it, and how much of what a policy makes of the
box lies outside the data, as it moves anywhere in it or is pushed outward onto its edge.
"""

import json
from pathlib import Path
from typing import NamedTuple

import click
import jax
import jax.numpy as jnp
import numpy as np

from cnf.moons import SAMPLES, Sweep, fit, moons_and_limit, sweep
from cnf.panels import COLORS, DATA_COLOR, OUTSIDE, draw_points, panels
from shared.cli.figure_options import folder_option, training_options
from shared.models.flow_matching import FlowMatching

WIDTHS = (0.5, 1.0, 2.0)
HIDDEN_SIZES, FLOW_STEPS = (128, 128, 128), 10
FEW = 1000
"""Points a panel: a small picture."""
SHOWN_AMPLITUDES = {1.0: "anywhere in the box", 3.0: "pushed onto its edge"}


class Matched(NamedTuple):
    """What flow matching makes of the moons.

    Attributes:
        fresh: data that the decoder has not seen, shape (rows, 2).
        noise: what the decoder carries to each of them.
        sweeps: by half width of the box.
    """

    fresh: np.ndarray
    noise: np.ndarray
    sweeps: dict[float, Sweep]

    def reached(self, width: float) -> np.ndarray:
        """Of every fresh point: does its noise lie in 0 ± `width`?"""
        return np.abs(self.noise).max(axis=1) <= width


def matched(*, seed: int, steps: int) -> Matched:
    """Train one decoder, ask it for the noise of fresh data, and sample it in every box.

    Arguments:
        seed: of data, weights, batches and samples.
        steps: number of updates.
    """
    data, fresh, limit = moons_and_limit(seed)
    start, batches, latents = jax.random.split(jax.random.key(seed), 3)
    form = {"hidden_sizes": HIDDEN_SIZES, "flow_steps": FLOW_STEPS}
    space = FlowMatching(0, 2, **form, key=start)
    space = fit(space, data, steps=steps, key=batches)
    noise = jax.jit(jax.vmap(lambda point: space.encode(jnp.zeros(0), point)))(fresh)
    sweeps = {width: sweep(space, width, data, limit, key=latents) for width in WIDTHS}
    return Matched(np.asarray(fresh), np.asarray(noise), sweeps)


def draw(found: Matched, path: Path, title: str) -> None:
    """A column a box: the data that it reaches, and what two policies make of it."""
    fresh, inside = found.fresh[:FEW], {w: found.reached(w)[:FEW] for w in WIDTHS}
    with panels(1 + len(SHOWN_AMPLITUDES), len(WIDTHS), path, dpi=70) as (figure, axes):
        figure.suptitle(f"{title}; grey: data; outside: {OUTSIDE}", fontsize=10)
        for k, width in enumerate(WIDTHS):
            swept = found.sweeps[width]
            draw_points(axes[0, k], fresh[~inside[width]], DATA_COLOR)
            draw_points(axes[0, k], fresh[inside[width]], COLORS[2])
            axes[0, k].set_title(f"box ±{width:g}: reaches {found.reached(width).mean():.1%}")
            for axis, amplitude, color in zip(axes[1:, k], SHOWN_AMPLITUDES, COLORS, strict=False):
                draw_points(axis, fresh, DATA_COLOR)
                draw_points(axis, swept.samples[amplitude][:FEW], color)
                axis.set_title(f"{swept.outside[amplitude]:.1%} outside")
        for axis, name in zip(axes[1:, 0], SHOWN_AMPLITUDES.values(), strict=True):
            axis.set_ylabel(name)
        axes[0, 0].set_ylabel("data whose noise lies inside")


@click.command(name="matching")
@folder_option("moons-matching.png and moons-matching.json")
@training_options(8000, "the decoder")
def matching_command(out: Path, seed: int, steps: int):
    """Two moons under flow matching: what boxes of the noise reach (DSRL's decoder).

    Trains a decoder in half a minute.  Of boxes of 0.5, 1 and 2 standard deviations it counts the
    share of fresh data whose noise lies inside, and of what they decode the share outside
    the data.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = matched(seed=seed, steps=steps)
    draw(found, out / "moons-matching.png", f"Two moons, {steps:,} updates, seed {seed}")
    boxes = {
        f"{width:g}": {
            "reached": float(found.reached(width).mean()),
            "outside": {f"{amplitude:g}": share for amplitude, share in swept.outside.items()},
        }
        for width, swept in found.sweeps.items()
    }
    result = {"seed": seed, "steps": steps, "boxes": boxes}
    (out / "moons-matching.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for width, box in boxes.items():
        inside, edge = (box["outside"][f"{amplitude:g}"] for amplitude in SHOWN_AMPLITUDES)
        click.echo(
            f"box ±{width}: reaches {box['reached']:.1%} of the data; of {SAMPLES:,} samples "
            f"outside: {inside:.1%} anywhere in the box, {edge:.1%} pushed onto its edge"
        )
    click.echo(f"{out}: moons-matching.png, moons-matching.json")
