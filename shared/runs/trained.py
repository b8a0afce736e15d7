"""Trained policies: load one, act with it, score it again."""

from functools import partial
from pathlib import Path
from typing import Any

import jax

from shared.environments.rendering import Pixels
from shared.environments.units import Units
from shared.errors import ConfigError, RunError
from shared.record.run_folder import RunFolder
from shared.runs.plan import Plan
from shared.runs.policy import Compiled, Policy
from shared.runs.run_record import observation_shape
from shared.training import online, program
from shared.training.evaluation import evaluate
from shared.training.seeds import of_seed
from shared.types import Spec


def load_state(path: Path, *, checkpoint: str | None = None):
    """Plan, record, algorithm and all seeds' state of a run's checkpoint (default: the last)."""
    run = RunFolder.open(Path(path), write=False)
    for key in ("data", "spec"):
        if not isinstance(run.record.get(key), dict):
            raise RunError(f"{path}/run.json: '{key}' is missing or damaged; restore the file.")
    if run.checkpoints.latest is None:
        is_record = run.record.get("status") == "finished"
        why = "came without its weights" if is_record else "holds no checkpoint yet"
        raise RunError(f"{path}: {why}; train it with 'train --resume {path}'.")
    plan = Plan.from_dict(run.config)
    algorithm = plan.build()
    # The statistics themselves come with the state.
    spec = Spec.blank(observation_shape(run.record), run.record["spec"]["action_size"])
    template = program.state_shapes(algorithm, spec, plan.seeds)
    if online.is_online(algorithm, run.checkpoints.read_progress(checkpoint)):
        blank = partial(online.nothing_shown, run.record["environment"], spec, plan.settings)
        shown = jax.eval_shape(lambda: blank(plan.seeds))
        (state, _), position = run.checkpoints.restore((template, shown), checkpoint)
    else:
        state, position = run.checkpoints.restore(template, checkpoint)
    return plan, run.record, algorithm, jax.tree.map(jax.numpy.asarray, state), position


def load_policy(
    path: str | Path,
    *,
    seed: int | None = None,
    deterministic: bool = True,
    checkpoint: str | None = None,
) -> Policy:
    """The policy of a run's last checkpoint.

    Arguments:
        path: run folder.
        seed: which of the run's seeds (default: the first).
        deterministic: the policy's mode; False samples.
        checkpoint: name of another checkpoint in the folder.

    Raises:
        RunError: no run folder, a damaged checkpoint, or an unknown seed.
    """
    plan, record, algorithm, state, _ = load_state(Path(path), checkpoint=checkpoint)
    seed = plan.seeds[0] if seed is None else seed
    if seed not in plan.seeds:
        raise RunError(f"{path}: has no seed {seed}; it trained {list(plan.seeds)}.")
    one = of_seed(state, plan.seeds.index(seed))
    acting = Compiled(algorithm, one, Units.of(record), deterministic=deterministic)
    shape, is_frame = observation_shape(record), record.get("pixels") is not None
    return Policy(acting, record, shape=shape, is_frame=is_frame, seed=seed)


def evaluate_run(path: str | Path, *, episodes: int = 10) -> list[dict[str, Any]]:
    """Play a run's last checkpoint, all seeds, both policy modes; one row an episode.

    Raises:
        ConfigError: fewer than one episode.
        RunError: no run folder, or a damaged checkpoint.
    """
    if episodes < 1:
        raise ConfigError(f"episodes is {episodes}; play at least 1.")
    plan, record, algorithm, state, position = load_state(Path(path))
    return evaluate(
        algorithm,
        state,
        record["environment"],
        seeds=plan.seeds,
        step=position["global_step"],
        episodes=episodes,
        pixels=Pixels.of(record),
        units=Units.of(record),
    )
