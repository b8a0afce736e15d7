"""Maximum mean discrepancy, and the figures of PLAS, appendix E: `cnf figures mmd`.

A sampled MMD constraint (BEAR) asks a policy to match the whole behaviour policy, where
staying inside its support would do: the figures show the loss of policies that are
safe, and of one in the hole between two modes.
"""

from collections.abc import Callable
from pathlib import Path

import click
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

WIDTHS = (0.1, 1.0, 5.0, 20.0)
SAMPLES = 300
SCALES = np.linspace(0.1, 3.0, 30)
CENTERS = np.linspace(-3.0, 3.0, 31)
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
BEHAVIORS = {"scale": "N(0, 1)", "modes": "uniform on ±[1, 2]"}


def laplacian(distance: Float[Array, "*shape n"], width: float) -> Float[Array, "*shape"]:
    """exp(-|x - y|_1 / (2 width))."""
    return jnp.exp(-jnp.sum(jnp.abs(distance), axis=-1) / (2 * width))


def gaussian(distance: Float[Array, "*shape n"], width: float) -> Float[Array, "*shape"]:
    """exp(-|x - y|² / (2 width)), the width outside the square as in BEAR's code."""
    return jnp.exp(-jnp.sum(distance**2, axis=-1) / (2 * width))


KERNELS = {"Laplacian": laplacian, "Gaussian": gaussian}


def mmd(
    x: Float[Array, "samples n"],
    y: Float[Array, "others n"],
    width: float,
    kernel: Callable = laplacian,
) -> Float[Array, ""]:
    """Of two sets of samples, with repetition (BEAR, section 5.2); 1e-3 where they are equal."""

    def mean(x, y):
        return jnp.mean(kernel(x[:, None, :] - y[None, :, :], width))

    return jnp.sqrt(mean(x, x) + mean(y, y) - 2 * mean(x, y) + 1e-6)


def curves(seed: int = 0) -> dict[str, dict[str, dict[float, np.ndarray]]]:
    """MMD by figure, kernel and width, over `SCALES` (figure 8) and `CENTERS` (figure 9).

    "scale": behaviour N(0, 1), policy N(0, x²).  "modes": behaviour uniform on
    [-2, -1] and [1, 2], policy N(x, 0.5²).  One noise serves the whole curve.
    """
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal(SAMPLES)
    modes = generator.uniform(1, 2, SAMPLES) * np.where(np.arange(SAMPLES) % 2, 1, -1)
    behaviors = {"scale": generator.standard_normal(SAMPLES), "modes": modes}
    policies = {"scale": SCALES[:, None] * noise, "modes": CENTERS[:, None] + 0.5 * noise}

    def curve(behavior, policies, width, kernel):
        behavior = jnp.asarray(behavior, jnp.float32)[:, None]
        one = lambda policy: mmd(behavior, policy[:, None], width, kernel)  # noqa: E731
        return np.asarray(jax.lax.map(one, jnp.asarray(policies, jnp.float32)))

    return {
        figure: {
            name: {width: curve(behaviors[figure], policies[figure], width, f) for width in WIDTHS}
            for name, f in KERNELS.items()
        }
        for figure in behaviors
    }


@click.command(name="mmd")
@click.option(
    "--out",
    default=Path("figures/mmd.png"),
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The picture.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the samples.")
def mmd_command(out: Path, seed: int):
    """Simulated MMD losses: what the constraint of BEAR asks for (PLAS, figures 8 and 9)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = curves(seed)
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, squeeze=False)
    labels = {"scale": "standard deviation of the policy", "modes": "mean of the policy"}
    for row, (name, places) in zip(axes, (("scale", SCALES), ("modes", CENTERS)), strict=True):
        for axis, (kernel, by_width) in zip(row, found[name].items(), strict=True):
            for color, (width, values) in zip(COLORS, by_width.items(), strict=True):
                axis.plot(places, values, color=color, label=f"width {width:g}")
                lowest = places[np.argmin(values)]
                click.echo(f"{name}, {kernel}, width {width:g}: lowest at {lowest:.2f}")
            title = f"{kernel} kernel, behaviour {BEHAVIORS[name]}"
            axis.set(title=title, xlabel=labels[name], ylabel="MMD")
    names = axes[0, 0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=len(names[0]))
    figure.suptitle(f"MMD of {SAMPLES} samples of a policy and {SAMPLES} of the behaviour")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, format="png", dpi=150, metadata={"Software": None})
    click.echo(f"{out}: behaviour N(0, 1) above, two modes at ±1.5 below")
