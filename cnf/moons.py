"""The toy experiment of CNF's figures 2 and 3: two moons, two bases, an amplitude sweep.

A policy that maximises a critic pushes its latents outward.  Here that is
imitated by latents of a growing amplitude: drawn from amplitude · N(0, I) for
the flow with a normal base, and from amplitude · U(-1, 1)², clipped to the box,
for the flow with a uniform base.  Counted are the samples that leave the data.

Beyond the paper: its figure does not push the uniform latents, and they do
leave the data when pushed onto the *edge* of the cube, which is as far in the
tail as 4 standard deviations of a normal base.  A box slightly inside the
cube, ±0.9, cures that, and is the third case here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.flow import ConditionalFlow
from shared.models.learner import Learner, descend

BASES = ("normal", "uniform")
BOXES = {"normal": (None,), "uniform": (1.0, 0.9)}
"""Half widths of the boxes that latents are clipped to; None for no box."""
AMPLITUDES = (1.0, 1.5, 2.0, 3.0)
ROWS, SAMPLES = 20_000, 4_000
BATCH = 512
LAYERS, HIDDEN = 8, 64
UPDATES_PER_CALL = 100
QUANTILE = 0.999
"""Farther from its nearest data point than this share of fresh data: outside the support."""


class Sweep(NamedTuple):
    """Samples, and the fraction of them outside the data, by amplitude in one box."""

    samples: dict[float, np.ndarray]
    outside: dict[float, float]


class Fitted(NamedTuple):
    """What one base makes of the moons: `nll` on fresh data in nats, sweeps by case."""

    flow: ConditionalFlow
    nll: float
    sweeps: dict[str, Sweep]


def two_moons(count: int, *, seed: int, noise: float = 0.05) -> np.ndarray:
    """Two interleaving half circles with Gaussian noise, scaled into (-1, 1)².

    Returns:
        Array of shape (count, 2), float32, in random order.
    """
    generator = np.random.default_rng(seed)
    angle = np.pi * generator.random(count)
    upper = generator.random(count) < 0.5
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    points = np.stack([x, y], 1) + noise * generator.standard_normal((count, 2))
    return ((points - [0.5, 0.25]) / [1.8, 1.05]).astype(np.float32)


def fit(
    flow: ConditionalFlow,
    points: Float[Array, "rows n"],
    *,
    steps: int,
    key: PRNGKeyArray,
    advance: Callable[[int], Any] = lambda updates: None,
) -> ConditionalFlow:
    """Maximum likelihood (eq. 5) of an unconditional flow, Adam with a cosine schedule.

    Arguments:
        flow: with a condition of length 0.
        points: shape (rows, n), in [-1, 1].
        steps: number of updates, batches of 512.
        key: draws the batches.
        advance: called with the number of updates since the last call.
    """
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    )
    first = points[:BATCH]
    flow = flow.start(jnp.zeros((first.shape[0], 0)), first)
    arrays, static = eqx.partition(Learner.create(flow, optimizer), eqx.is_array)

    def update(arrays, key, points):
        batch = points[jax.random.randint(key, (BATCH,), 0, points.shape[0])]
        learner, _ = descend(
            eqx.combine(arrays, static),
            optimizer,
            lambda flow: (-jnp.mean(log_prob(flow, batch)), {}),
        )
        return eqx.filter(learner, eqx.is_array), None

    @jax.jit
    def run(arrays, keys, points):
        return jax.lax.scan(lambda a, k: update(a, k, points), arrays, keys)[0]

    keys = jax.random.split(key, steps)
    for start in range(0, steps, UPDATES_PER_CALL):
        chunk = keys[start : start + UPDATES_PER_CALL]
        arrays = jax.block_until_ready(run(arrays, chunk, points))
        advance(chunk.shape[0])
    return eqx.combine(arrays, static).model


def log_prob(flow: ConditionalFlow, points: Float[Array, "rows n"]) -> Float[Array, "rows"]:
    """Log-density of every point, without a condition, in nats."""
    return jax.vmap(lambda point: flow.log_prob(jnp.zeros(0), point))(points)


def draw_latents(half_width: float | None, amplitude: float, count: int, *, key: PRNGKeyArray):
    """Latents (count, 2) of a policy that pushes outward: in a box, or normal without one."""
    if half_width is None:
        return amplitude * jax.random.normal(key, (count, 2))
    pushed = amplitude * jax.random.uniform(key, (count, 2), minval=-1.0, maxval=1.0)
    return half_width * jnp.clip(pushed, -1.0, 1.0)


@jax.jit
def nearest_distance(
    points: Float[Array, "rows n"], data: Float[Array, "many n"]
) -> Float[Array, "rows"]:
    """Euclidean distance of every point to the data point closest to it."""

    def one(point):
        return jnp.sqrt(jnp.min(jnp.sum((data - point[None, :]) ** 2, axis=1)))

    return jax.lax.map(one, points, batch_size=64)


def experiment(base: str, *, seed: int, steps: int, advance: Callable[[int], Any]) -> Fitted:
    """Train one flow, sample it at every amplitude and count what leaves the data.

    Arguments:
        base: of the flow, `"normal"` or `"uniform"`.
        seed: of data, weights, batches and samples.
        steps: number of updates.
        advance: as in `fit`.
    """
    data, fresh = (
        jnp.asarray(two_moons(ROWS, seed=seed)),
        jnp.asarray(two_moons(SAMPLES, seed=seed + 1)),
    )
    start, batches, latents = jax.random.split(jax.random.key(seed), 3)
    flow = ConditionalFlow(0, 2, layers=LAYERS, hidden_size=HIDDEN, base=base, key=start)
    flow = fit(flow, data, steps=steps, key=batches, advance=advance)
    limit = jnp.quantile(nearest_distance(fresh, data), QUANTILE)
    decode = jax.jit(jax.vmap(lambda latent: flow.decode(jnp.zeros(0), latent)))

    def sweep(half_width):
        samples, outside = {}, {}
        for amplitude in AMPLITUDES:
            points = decode(draw_latents(half_width, amplitude, SAMPLES, key=latents))
            samples[amplitude] = np.asarray(points)
            outside[amplitude] = float(np.mean(nearest_distance(points, data) > limit))
        return Sweep(samples, outside)

    nll = -float(jnp.mean(jax.jit(log_prob)(flow, fresh)))
    return Fitted(flow, nll, {case_name(base, box): sweep(box) for box in BOXES[base]})


def case_name(base: str, half_width: float | None) -> str:
    """How a base with a box is called in figures and tables."""
    return f"{base} base" if half_width is None else f"{base} base, box ±{half_width:g}"
