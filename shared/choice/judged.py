"""A run's last policy judged once, by its data and in its simulator: `judged.csv` in its folder.

    width       half width of its box, in standard deviations of the latents
    distance    root mean square of pi(s) - a over the rows of a tenth of the episodes, in standard
                deviations of the recorded actions: an action that never changes has 1
    beyond      share of (s, pi(s)) there that are farther from the data than 99 % of recorded ones
    believed    mean Q(s_0, pi(s_0)) of its critics where the scored episodes start; where there is
                no critic of actions, the last `value_at_starts`
    earned      mean discounted return of these episodes, replayed
    unit        standard deviation of the data's discounted returns

All three last ones in the rewards as the critics learned them.  An episode that a time limit cuts
goes on at the mean of what was met (`completed_returns`).  The value error of methods that learn
rewards in different units compares as (believed - earned) / unit.
"""

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from shared.algorithm import LearnedReward
from shared.choice.decisions import decisions_among
from shared.choice.distance import ActionDistances
from shared.choice.policy_rows import completed_returns
from shared.comparison.csv_tables import read_metrics
from shared.comparison.values import AT_STARTS
from shared.datasets.frames import from_transitions
from shared.datasets.row_data import RowData
from shared.environments.simulators import has_simulator
from shared.environments.units import Units
from shared.errors import RunError, UserError
from shared.loading.request import DataRequest
from shared.record.run_folder import RunFolder
from shared.record.schema import JUDGED_COLUMNS, JUDGED_FILE
from shared.runs.carry_out import load_again
from shared.runs.q_errors import Rollout, play
from shared.runs.trained import load_state
from shared.storage.durable import disk_errors, write_atomically
from shared.training.online import is_online
from shared.training.seeds import of_seed

SHARE = 0.1
"""Of the episodes, at whose rows actions are judged; training may have seen them."""


class Recorded:
    """What the data say, computed once for all runs that learned from them."""

    def __init__(self, data: RowData):
        self.data = data
        self.frames = from_transitions(data.transitions, data.episode)
        number = np.searchsorted(np.unique(data.episode), data.judged_episodes(SHARE))
        self.held = np.isin(self.frames.episode, number)
        if not self.held.any() or self.held.all():
            raise RunError(f"{data.path}: has a single episode, so that none can judge.")
        self.distances = ActionDistances(self.frames, self.held)

    def distance(self, decided: Float[np.ndarray, "frames action"]) -> float:
        """Root mean square of these actions less the recorded ones, in their deviations."""
        rows = self.frames.acted & self.held
        recorded = self.frames.action[rows]
        spread = np.maximum(recorded.std(axis=0), 1e-6)
        return float(np.sqrt(np.mean(((decided[rows] - recorded) / spread) ** 2)))

    def unit(self, learned: LearnedReward) -> float:
        """Standard deviation of the discounted returns from all rows on, as critics learn them."""
        rows = self.data.transitions
        reward = _learned(learned, rows.reward)
        discount = float(learned.discount)
        returns = completed_returns(reward, rows.terminal, self.data.episode, discount)
        return max(float(returns.std()), 1e-9)


def judge_all(paths: Iterable[Path], tell: Callable[[str], Any]) -> None:
    """Judge the runs that were not yet, data set by data set; `tell` gets a sentence for each.

    A run that cannot be judged (pictures, data that are gone) is told of and left out.
    """
    known: dict[str, Recorded] = {}
    for path in paths:
        try:
            run = RunFolder.open(path, write=False)
            if _is_judged(path, run) or run.record.get("pixels"):
                continue
            if run.checkpoints.latest is None:
                if run.record.get("status") == "finished":
                    tell(f"not judged: {path}: came without weights; judge it where it was trained")
                continue
            tell(f"judging {path.parent.name}/{path.name} by its data and in its simulator")
            sha256 = run.record["data"]["sha256"]
            if sha256 not in known:
                known = {sha256: Recorded(_data(path, run.record))}
            judge(path, known[sha256])
        except UserError as error:
            tell(f"not judged: {path}: {error}")


def judge(path: Path, recorded: Recorded) -> None:
    """Write `judged.csv` of a run; the data are those that it was trained on."""
    plan, record, algorithm, state, position = load_state(path)
    states = [of_seed(state, i) for i in range(len(plan.seeds))]
    step = position["global_step"]
    believed, rollouts = _values_at_starts(path), None
    how = {"online": is_online(algorithm, position)}
    learned = [algorithm.learned_reward(one, **how) for one in states]
    has_critic = learned[0] is not None
    if believed and not has_critic:  # values of states, of raw rewards
        learned = [LearnedReward(plan.hyperparameters["discount"])] * len(states)
    if has_simulator(record["environment"]) and (has_critic or believed):
        how = {"episodes": plan.settings.episodes, "units": Units.of(record)}
        where = record["environment"]
        rollouts = play(algorithm, state, where, seeds=plan.seeds, step=step, **how)
    rows = []
    for i, seed in enumerate(plan.seeds):
        decided = decisions_among(algorithm, states[i], recorded.frames, recorded.held)
        far = recorded.distances.of_actions(decided)
        row = {"step": step, "seed": seed, "width": _blank(algorithm.box_width())}
        row |= {"distance": recorded.distance(decided), "beyond": far["beyond"]}
        if rollouts is not None:
            own = rollouts[i]
            if has_critic:
                believed[seed] = _believed(algorithm, states[i], own)
            if seed in believed:
                row |= {"believed": believed[seed], "earned": earned(own, learned[i])}
                row |= {"unit": recorded.unit(learned[i])}
        rows.append(row)
    _write(path / JUDGED_FILE, rows)


def earned(rollouts: list[Rollout], learned: LearnedReward) -> float:
    """Mean discounted return from the starts of episodes, of rewards as critics learn them."""
    reward = _learned(learned, np.concatenate([one.reward for one in rollouts]))
    lengths = [len(one.reward) for one in rollouts]
    episode = np.repeat(np.arange(len(rollouts)), lengths)
    ends = np.cumsum(lengths) - 1
    terminal = np.zeros(len(reward), bool)
    terminal[ends] = [one.terminal for one in rollouts]
    returns = completed_returns(reward, terminal, episode, float(learned.discount))
    return float(returns[ends - np.array(lengths) + 1].mean())


def _believed(algorithm, state, rollouts: list[Rollout]) -> float:
    observation, action = (
        np.stack([getattr(one, name)[0] for one in rollouts]) for name in ("observation", "action")
    )
    values = jax.jit(jax.vmap(algorithm.critic_value, (None, 0, 0)))
    return float(np.mean(np.asarray(values(state, observation, action), np.float64)))


def _values_at_starts(path: Path) -> dict[int, float]:
    """Seed -> the last `value_at_starts`, where that was recorded."""
    table = read_metrics(path / "metrics.csv")
    values = table.values.get(AT_STARTS, np.full(len(table.seed), np.nan))
    filled = np.isfinite(values)
    pairs = zip(table.seed[filled], values[filled], strict=True)
    return {int(seed): float(value) for seed, value in pairs}


def _learned(learned: LearnedReward, reward: np.ndarray) -> np.ndarray:
    return float(learned.scale) * np.asarray(reward, np.float64) + float(learned.shift)


def _data(path: Path, record: dict[str, Any]) -> RowData:
    data = load_again(path, record, lambda r: DataRequest.of_record(r, None).load())
    if not isinstance(data, RowData):
        raise RunError(f"{path}: distances are known of observation vectors, not of images.")
    return data


def _is_judged(path: Path, run: RunFolder) -> bool:
    """Is its last checkpoint the one that was judged?"""
    if not (path / JUDGED_FILE).exists():
        return False
    with open(path / JUDGED_FILE, encoding="utf-8", newline="") as file:
        steps = {row.get("step") for row in csv.DictReader(file)}
    return steps == {str(run.checkpoints.read_progress(None)["global_step"])}


def _blank(value: Any) -> Any:
    return "" if value is None else float(value)


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, JUDGED_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with disk_errors(f"{file} could not be written", "make room and report again"):
        write_atomically(file, text.getvalue())
