"""Final scores as rows, one per environment, label and policy mode, and what limits them."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shared.comparison.record import SOURCES, Run
from shared.comparison.statistics import Interval, bootstrap_interval, interquartile_mean, mean
from shared.environments.tasks import find_task
from shared.record.schema import MODES


class Row(NamedTuple):
    """Final scores of one label in one environment and policy mode.

    Means are over seeds, each seed counted by its mean over final episodes.
    Scores are NaN, and intervals None, where they do not exist.  `step` is the
    update of the final evaluation, the earliest one if seeds differ.
    """

    environment: str
    label: str
    family: str
    algorithm: str
    preset: str
    source: str
    data_name: str
    data_sha256: str
    mode: str
    seeds: tuple[int, ...]
    step: int
    episodes: int
    return_mean: float
    return_interval: Interval | None
    return_iqm: float
    return_iqm_interval: Interval | None
    score_mean: float
    score_interval: Interval | None
    score_iqm: float
    score_iqm_interval: Interval | None
    data_return: float | None
    data_score: float | None
    status: str

    @property
    def scored(self) -> bool:
        """Are there reference returns, and hence scores?"""
        return not math.isnan(self.score_mean)

    @property
    def interval(self) -> Interval | None:
        """That of the mean score, or of the mean return where there are no scores."""
        return self.score_interval if self.scored else self.return_interval

    @property
    def iqm(self) -> float:
        """Interquartile mean of the scores, or of the returns where there are no scores."""
        return self.score_iqm if self.scored else self.return_iqm


def final_means(run: Run, mode: str, value: str = "score") -> dict[int, float]:
    """Seed -> mean over its final episodes of `score` or `return_`."""
    return {
        seed: float(np.mean([getattr(episode, value) for episode in episodes]))
        for seed, episodes in run.final_episodes(mode).items()
    }


def make_rows(runs: Sequence[Run], mode: str = "both") -> list[Row]:
    """Rows sorted by environment, then in the order of `runs`.

    Args:
        runs: as `record.pool` returns them, so that labels are unambiguous.
        mode: `deterministic`, `sampled` or `both`.
    """
    modes = MODES if mode == "both" else (mode,)
    rows = [
        _row(run, chosen)
        for run in sorted(runs, key=lambda run: run.environment)
        for chosen in modes
        if run.final_episodes(chosen)
    ]
    return rows


def _row(run: Run, mode: str) -> Row:
    final = run.final_episodes(mode)
    returns = [np.array(list(final_means(run, mode, "return_").values()))]
    scores = [np.array(list(final_means(run, mode).values()))]
    scored = bool(np.isfinite(scores[0]).all())
    return Row(
        environment=run.environment,
        label=run.label,
        family=run.family,
        algorithm=run.algorithm,
        preset=run.preset,
        source=run.source,
        data_name=run.data.name,
        data_sha256=run.data.sha256,
        mode=mode,
        seeds=tuple(final),
        step=min(episodes[0].step for episodes in final.values()),
        episodes=sum(map(len, final.values())),
        return_mean=float(mean(returns)),
        return_interval=bootstrap_interval(mean, returns),
        return_iqm=float(interquartile_mean(returns)),
        return_iqm_interval=bootstrap_interval(interquartile_mean, returns),
        score_mean=float(mean(scores)) if scored else math.nan,
        score_interval=bootstrap_interval(mean, scores) if scored else None,
        score_iqm=float(interquartile_mean(scores)) if scored else math.nan,
        score_iqm_interval=bootstrap_interval(interquartile_mean, scores) if scored else None,
        data_return=run.data.mean_return,
        data_score=run.data.mean_score,
        status=run.status,
    )


def make_notes(runs: Sequence[Run]) -> list[str]:
    """Sentences on what a reader must know before comparing the rows of `runs`."""
    notes = []
    for environment in sorted({run.environment for run in runs}):
        group = [run for run in runs if run.environment == environment]
        data = dict.fromkeys((run.source, run.data.sha256[:8]) for run in group)
        if len({source for source, _ in data}) > 1:
            notes.append(f"{environment}: rows come from data of different sources {_list(data)}.")
        elif len({run.data.sha256 for run in group}) > 1:
            notes.append(f"{environment}: rows come from different data files {_list(data)}.")
        presets = dict.fromkeys(run.preset for run in group)
        if len(presets) > 1:
            notes.append(f"{environment}: presets differ ({', '.join(presets)}).")
        for run in group:
            notes += [f"{environment}, {run.label}: {text}." for text in _flaws(run)]
    if len({run.source for run in runs}) > 1 and len({run.environment for run in runs}) > 1:
        notes.append("averages over environments mix data of different sources.")
    tasks = {run.environment: find_task(run.environment) for run in runs}
    if told := sorted(name for name, task in tasks.items() if task is not None and task.by_success):
        notes.append(
            f"score of {', '.join(told)}: the share of episodes that succeed, in percent; the data "
            "were recorded for no task, so they have none."
        )
    for source in sorted({run.source for run in runs}):
        notes.append(f"Data source '{source}': {SOURCES[source]}.")
    return notes


def _list(data: Iterable[tuple[str, str]]) -> str:
    return "(" + ", ".join(f"{source} {sha}" for source, sha in data) + ")"


def _flaws(run: Run) -> list[str]:
    flaws = []
    if run.status != "finished":
        flaws.append(f"the run is {run.status}, the last evaluation so far is shown")
    scored = {episode.seed for episode in run.episodes}
    unscored = [str(seed) for seed in run.seeds if seed not in scored]
    if unscored:
        flaws.append(f"no evaluation of seed {', '.join(unscored)}")
    for mode in MODES:
        steps = {episodes[0].step for episodes in run.final_episodes(mode).values()}
        if len(steps) > 1:
            flaws.append(f"{mode} seeds were last scored at different updates {sorted(steps)}")
    return flaws
