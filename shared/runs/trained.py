"""Trained policies: load one, act with it, score it again."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from shared.environments.rendering import Pixels
from shared.errors import RunError
from shared.record.run_folder import RunFolder
from shared.runs.plan import Plan
from shared.runs.run_record import observation_shape
from shared.training import online, program
from shared.training.evaluation import evaluate
from shared.types import Spec


class Policy:
    """A trained policy with its memory, one observation at a time.

    Made by `load_policy`.  `reset` starts a new episode; `act` takes a raw
    (not normalised) observation, a uint8 frame where the policy learned from pixels,
    and returns an action in [-1, 1].
    """

    def __init__(
        self,
        algorithm,
        state,
        record: dict[str, Any],
        *,
        deterministic: bool,
        seed: int,
    ):
        self.record = record
        self._dtype = np.float32 if record.get("pixels") is None else np.uint8
        self._offset = record["spec"].get("observation_offset")
        self._key = None if deterministic else jax.random.key(seed)
        self._act = jax.jit(
            lambda state, memory, observation, key: algorithm.act(
                state, memory, observation, key=key
            )
        )
        self._rewarded = jax.jit(algorithm.rewarded)
        self._initial = lambda: algorithm.initial_memory(state)
        self._state = state
        self.reset()

    def reset(self) -> None:
        """Forget the episode so far."""
        self._memory, self._first = self._initial(), True

    def act(self, observation: np.ndarray, *, reward: float = 0.0) -> np.ndarray:
        """The action for one observation, float32, in [-1, 1].

        `reward` is that of the last action; policies conditioned on a return need it.
        """
        key = None
        if self._key is not None:
            self._key, key = jax.random.split(self._key)
        if not self._first:
            self._memory = self._rewarded(self._memory, np.float32(reward))
        self._first = False
        if self._offset is not None:  # what float32 cannot hold is subtracted first
            observation = np.asarray(observation, np.float64) - np.asarray(self._offset)
        observation = np.asarray(observation, self._dtype)
        action, self._memory = self._act(self._state, self._memory, observation, key)
        return np.asarray(action)


def load_state(path: Path, *, checkpoint: str | None = None):
    """Plan, record, algorithm and all seeds' state of a run's checkpoint (default: the last)."""
    run = RunFolder.open(Path(path), write=False)
    if run.checkpoints.latest is None:
        raise RunError(
            f"{path}: holds no checkpoint yet; carry it on with 'train --resume {path}'."
        )
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
    one = jax.tree.map(lambda x: x[plan.seeds.index(seed)], state)
    return Policy(algorithm, one, record, deterministic=deterministic, seed=seed)


def evaluate_run(path: str | Path, *, episodes: int = 10) -> list[dict[str, Any]]:
    """Play a run's last checkpoint, all seeds, both policy modes; one row an episode."""
    plan, record, algorithm, state, position = load_state(Path(path))
    return evaluate(
        algorithm,
        state,
        record["environment"],
        seeds=plan.seeds,
        step=position["global_step"],
        episodes=episodes,
        pixels=Pixels.of(record),
    )
