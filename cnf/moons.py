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
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from shared.models.flow import ConditionalFlow
from shared.models.latent_actions import AbstractLatentActionSpace
from shared.models.learner import Learner, descend

Space = TypeVar("Space", bound=AbstractLatentActionSpace)
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
    space: Space,
    points: Float[Array, "rows n"],
    *,
    steps: int,
    key: PRNGKeyArray,
    advance: Callable[[int], Any] = lambda updates: None,
) -> Space:
    """A space's own loss (of a flow the likelihood, eq. 5), by Adam with a cosine schedule.

    Arguments:
        space: with a condition of length 0.
        points: shape (rows, n), in [-1, 1].
        steps: number of updates, batches of 512.
        key: draws the batches.
        advance: called with the number of updates since the last call.
    """
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    )
    first = points[:BATCH]
    begun = space.start(jnp.zeros((first.shape[0], 0)), first)
    arrays, static = eqx.partition(Learner.create(begun, optimizer), eqx.is_array)

    def update(arrays, key, points):
        batch = points[jax.random.randint(key, (BATCH,), 0, points.shape[0])]
        keys = jax.random.split(jax.random.fold_in(key, 1), BATCH)

        def loss(space):
            losses = jax.vmap(lambda x, key: space.loss(jnp.zeros(0), x, key=key))(batch, keys)
            return jnp.mean(losses), {}

        learner, _ = descend(eqx.combine(arrays, static), optimizer, loss)
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


def moons_and_limit(seed: int) -> tuple[Array, Array, Array]:
    """Data, fresh data, and the distance from the data beyond which a point is outside."""
    data = jnp.asarray(two_moons(ROWS, seed=seed))
    fresh = jnp.asarray(two_moons(SAMPLES, seed=seed + 1))
    return data, fresh, jnp.quantile(nearest_distance(fresh, data), QUANTILE)


def sweep(
    space: AbstractLatentActionSpace,
    half_width: float | None,
    data: Float[Array, "rows n"],
    limit: Float[Array, ""],
    *,
    key: PRNGKeyArray,
) -> Sweep:
    """What a space decodes at every amplitude in one box; farther than `limit` is outside."""
    decode = jax.jit(jax.vmap(lambda latent: space.decode(jnp.zeros(0), latent)))
    samples, outside = {}, {}
    for amplitude in AMPLITUDES:
        points = decode(draw_latents(half_width, amplitude, SAMPLES, key=key))
        samples[amplitude] = np.asarray(points)
        outside[amplitude] = float(np.mean(nearest_distance(points, data) > limit))
    return Sweep(samples, outside)


def experiment(base: str, *, seed: int, steps: int, advance: Callable[[int], Any]) -> Fitted:
    """Train one flow, sample it at every amplitude and count what leaves the data.

    Arguments:
        base: of the flow, `"normal"` or `"uniform"`.
        seed: of data, weights, batches and samples.
        steps: number of updates.
        advance: as in `fit`.
    """
    data, fresh, limit = moons_and_limit(seed)
    start, batches, latents = jax.random.split(jax.random.key(seed), 3)
    flow = ConditionalFlow(0, 2, layers=LAYERS, hidden_size=HIDDEN, base=base, key=start)
    flow = fit(flow, data, steps=steps, key=batches, advance=advance)
    nll = -float(jnp.mean(jax.jit(log_prob)(flow, fresh)))
    sweeps = {
        case_name(base, box): sweep(flow, box, data, limit, key=latents) for box in BOXES[base]
    }
    return Fitted(flow, nll, sweeps)


def case_name(base: str, half_width: float | None) -> str:
    """How a base with a box is called in figures and tables."""
    return f"{base} base" if half_width is None else f"{base} base, box ±{half_width:g}"
