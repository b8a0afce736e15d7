"""Trains a behaviour policy online with SAC and selects expert, medium and snapshots.

    python -m shared.behavior.train hopper --seed 0 --steps 1000000 --out DIR

Several simulators are stepped in Python; after every chunk of environment
steps one compiled call draws the batches and runs all updates of that chunk.
The replay buffer lives on the device and is written in place.  `DIR` receives

    training.json                       the settings; another training does not continue here
    snapshots/<environment steps>.npz   actor weights and their evaluated returns
    progress.csv                        one line per snapshot
    state.npz                           everything needed to continue, replaced in one step
    <environment>.npz                   the selected policies, in the form of `weights/`

Started again with the same arguments, a killed training continues from
`state.npz`.  That holds the simulators' states too, and every random stream
depends on the seed and a counter alone, so a stop changes no bit.
"""

import json
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from shared.behavior.collector import Collector
from shared.behavior.sac import SAC
from shared.behavior.select import write_weights
from shared.behavior.simulator import ENVIRONMENTS, make_simulator
from shared.behavior.snapshots import save_npz, snapshot_due, take_snapshot
from shared.datasets.replay import RingBuffer
from shared.errors import RunError
from shared.models.learner import Metrics
from shared.models.soft_actor_critic import SoftActorCritic
from shared.types import Transition


class Settings(NamedTuple):
    """Sizes of a training; `environment_steps` counts steps of all simulators.

    `chunk` and `capacity` are multiples of `simulators` and of `chunk`.
    """

    environment_steps: int = 1_000_000
    simulators: int = 8
    chunk: int = 800  # environment steps between two compiled calls
    updates_per_step: float = 0.5
    batch_size: int = 128
    random_steps: int = 10_000
    capacity: int = 1_000_000


_DEFAULTS = Settings()


class Training(NamedTuple):
    """Everything that changes; a pytree of arrays, saved whole."""

    sac: SoftActorCritic
    buffer: RingBuffer
    simulator_states: np.ndarray  # (simulators, state) float64
    environment_steps: np.ndarray  # () int64
    episodes: np.ndarray  # (simulators,) int64


@partial(jax.jit, donate_argnums=0)
def write(buffer: RingBuffer, rows: Transition) -> RingBuffer:
    """The buffer with these rows, in place: the old one is gone."""
    return buffer.append(rows)


@partial(jax.jit, static_argnames=("updates", "batch_size"), donate_argnums=1)
def improve(
    sac: SAC,
    state: SoftActorCritic,
    buffer: RingBuffer,
    *,
    updates: int,
    batch_size: int,
    key: PRNGKeyArray,
) -> tuple[SoftActorCritic, Metrics]:
    """`updates` steps of SAC on batches drawn uniformly from the buffer."""

    def step(state, key):
        draw_key, update_key = jax.random.split(key)
        return sac.update(state, buffer.draw(batch_size, key=draw_key), key=update_key)

    state, metrics = jax.lax.scan(step, state, jax.random.split(key, updates))
    return state, jax.tree.map(jnp.mean, metrics)


def train_behavior(
    environment: str,
    *,
    seed: int,
    out: Path,
    settings: Settings = _DEFAULTS,
    save_seconds: float = 240.0,
) -> SoftActorCritic:
    """Train one behaviour policy, or continue a training that was stopped.

    Arguments:
        environment: one of `simulator.ENVIRONMENTS`.
        seed: of the networks, the simulators and the noise.
        out: folder of this training, see the module's text.
        settings: sizes; a longer `environment_steps` continues a finished training.
        save_seconds: time between two saves of the whole state.

    Raises:
        RunError: `out` holds another training, or a damaged state.
    """
    _claim(out, environment, seed, settings)
    simulator = make_simulator(environment)
    sac = SAC(simulator.observation_size, simulator.action_size)
    root = jax.random.key(seed)
    collector = Collector(environment, settings.simulators, seed)
    state, buffer, steps = _start(out, sac, settings, collector, key=jax.random.fold_in(root, 0))
    saved = time.monotonic()
    while steps < settings.environment_steps:
        layers = None if steps < settings.random_steps else state.actor.model.layers()
        generator = np.random.default_rng(np.random.SeedSequence([seed, 0, steps]))
        rows = collector.collect(layers, settings.chunk, generator)
        buffer = write(buffer, rows)
        steps += settings.chunk
        if steps >= settings.random_steps:
            state, metrics = improve(
                sac,
                state,
                buffer,
                updates=round(settings.updates_per_step * settings.chunk),
                batch_size=settings.batch_size,
                key=jax.random.fold_in(root, steps),
            )
            if snapshot_due(steps - settings.chunk, steps):
                info = {name: round(float(value), 4) for name, value in metrics.items()}
                actor = state.actor.model.layers()
                shot = take_snapshot(out, environment, actor, steps, seed, info)
                click.echo(f"{steps} steps, sampled return {shot.sampled:.0f}, {info}")
        if time.monotonic() - saved > save_seconds or steps >= settings.environment_steps:
            _save(out, state, buffer, collector, steps)
            saved = time.monotonic()
    return state


def _claim(out: Path, environment: str, seed: int, settings: Settings) -> None:
    """Write `training.json`, or refuse a folder that belongs to another training."""
    found = {"environment": environment, "seed": seed, **settings._asdict()}
    del found["environment_steps"]
    path = out / "training.json"
    if path.exists() and json.loads(path.read_text()) != found:
        raise RunError(f"{path} describes another training; choose another --out folder.")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1))


def _start(
    out: Path, sac: SAC, settings: Settings, collector: Collector, *, key: PRNGKeyArray
) -> tuple[SoftActorCritic, RingBuffer, int]:
    """A new state, buffer and step count, or those that `out/state.npz` holds."""
    buffer = RingBuffer.empty(settings.capacity, sac.observation_size, sac.action_size)
    fresh = sac.init(key=key), buffer
    path = out / "state.npz"
    if not path.exists():
        return *fresh, 0
    leaves, structure = jax.tree.flatten(Training(*fresh, *[np.zeros(0)] * 3))
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = [file[f"leaf{i}"] for i in range(len(leaves))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}); delete it to train anew.") from error
    training = jax.tree.unflatten(structure, arrays)
    collector.set_states(training.simulator_states, training.episodes)
    state, buffer = jax.tree.map(jnp.asarray, (training.sac, training.buffer))
    return state, buffer, int(training.environment_steps)


def _save(
    out: Path, state: SoftActorCritic, buffer: RingBuffer, collector: Collector, steps: int
) -> None:
    counters = collector.get_states(), np.asarray(steps), collector.episodes
    leaves = jax.tree.leaves(Training(state, buffer, *counters))
    save_npz(out / "state.npz", {f"leaf{i}": np.asarray(x) for i, x in enumerate(leaves)})


@click.command()
@click.argument("environment", type=click.Choice(ENVIRONMENTS))
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")
@click.option("--steps", default=_DEFAULTS.environment_steps, show_default=True)
@click.option("--updates-per-step", default=_DEFAULTS.updates_per_step, show_default=True)
@click.option("--batch-size", default=_DEFAULTS.batch_size, show_default=True)
def main(
    environment: str, seed: int, out: Path, steps: int, updates_per_step: float, batch_size: int
) -> None:
    """Train the behaviour policy of ENVIRONMENT; continue if --out holds its state."""
    settings = Settings(steps, updates_per_step=updates_per_step, batch_size=batch_size)
    train_behavior(environment, seed=seed, out=out, settings=settings)
    command = (
        f"python -m shared.behavior.train {environment} --seed {seed} --steps {steps} "
        f"--updates-per-step {updates_per_step} --batch-size {batch_size} --out DIR"
    )
    write_weights(environment, out, out / f"{environment}.npz", command=command, seed=seed)


if __name__ == "__main__":
    main()
