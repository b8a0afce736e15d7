"""What to think of a finished run, in a few plain sentences."""

import numpy as np

from shared.comparison.csv_tables import Episode
from shared.comparison.record import Run
from shared.environments.scores import normalized_score
from shared.environments.tasks import environments, find_task
from shared.errors import RunError
from shared.record.schema import METRIC_COLUMNS, SWEEP_FILE


def sentences(run: Run) -> list[str]:
    """The data beside the policy, how steady it was, and a warning where it is worse than them."""
    means = evaluations(run)
    if not means:
        return _unscored(run)
    task = find_task(run.environment)
    if task is not None and task.by_success:
        return _of_success(run)
    last, best = means[-1], max(means)
    told = [f"data: mean {_told(run, run.data.mean_return)}"]
    if run.data.p90_return is not None:
        told[0] += f", 90 % of the episodes below {_told(run, run.data.p90_return)}"
    if len(means) > 1:
        told.append(
            f"last of {len(means)} evaluations: {_told(run, last)}; the best was "
            f"{_told(run, best)} (scores are those of the last policy)"
        )
    if run.data.mean_return is not None and last < run.data.mean_return:
        told.append(
            f"warning: the policy returns less than its data do on average ({last:,.0f} < "
            f"{run.data.mean_return:,.0f}); look at the curves, train longer, or try another preset"
        )
    cloning = cloned(run)
    if cloning is not None and last < cloning:
        told.append(
            f"warning: the policy returns less than cloning of the same data ({last:,.0f} < "
            f"{cloning:,.0f})"
        )
    return told


def evaluations(run: Run, mode: str = "deterministic", of: str = "return_") -> list[float]:
    """Mean raw return (or `score`) of every evaluation, over seeds and episodes, in their order."""
    by_step: dict[int, list[Episode]] = {}
    for episode in run.episodes:
        if episode.mode == mode:
            by_step.setdefault(episode.step, []).append(episode)
    return [float(np.mean([getattr(e, of) for e in by_step[step]])) for step in sorted(by_step)]


def _of_success(run: Run) -> list[str]:
    """Of a task that is scored by success: its data were recorded for no task, so have no score."""
    shares = evaluations(run, of="score")
    told = [f"success in the last evaluation: {shares[-1]:.0f} %"]
    if len(shares) > 1:
        told[0] += f", in the best of {len(shares)}: {max(shares):.0f} %"
    if max(shares) == 0:
        told.append(
            "warning: no episode has succeeded yet; look at the raw returns, train longer, or try "
            "another preset"
        )
    return told


def cloned(run: Run) -> float | None:
    """Last mean return of a finished cloning run of the same data beside this run, if any."""
    from shared.comparison.read import read_run

    beside = run.folders[0].resolve().parent
    if (beside / SWEEP_FILE).exists():
        beside = beside.parent
    for file in sorted(beside.glob("*/run.json")):
        try:  # another run's damage is no fault of this one's
            other = read_run(file.parent)
        except RunError:
            continue
        means = evaluations(other)
        same = other.data.sha256 == run.data.sha256 and other.algorithm == "bc" != run.algorithm
        if same and other.status == "finished" and means:
            return means[-1]
    return None


def _told(run: Run, return_: float | None) -> str:
    """A return, and its score where the task has reference returns."""
    if return_ is None:
        return "n/a"
    task = next((x for x in environments() if run.environment.startswith(x)), None)
    score = None if task is None else float(normalized_score(run.environment, return_))
    known = score is not None and np.isfinite(score)
    return f"{return_:,.0f} (score {score:.1f})" if known else f"{return_:,.1f}"


def _unscored(run: Run) -> list[str]:
    """Without a simulator: what the losses say."""
    metrics = run.metrics()
    if not len(metrics.step):
        return ["nothing has been trained yet"]
    last = metrics.phase == metrics.phase[-1]
    told = []
    for name, values in metrics.values.items():
        seen = values[last & np.isfinite(values)]
        if name not in METRIC_COLUMNS and len(seen):
            told.append(f"{name} {seen[0]:.3g} -> {seen[-1]:.3g}")
    where = f"no simulator scored this policy; phase '{metrics.phase[-1]}' went: "
    return [where + ", ".join(told[:6])]
