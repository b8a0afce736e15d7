"""Where every run begins: with a `Request`, or with a plan and data that are there already."""

import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, SupportsIndex

from shared.datasets.dataset import Dataset
from shared.errors import ConfigError
from shared.loading.request import DataRequest
from shared.record.run_folder import require_empty
from shared.runs import estimates, fitting, members
from shared.runs.carry_out import (
    carry_out,
    check_plan,
    new_run,
    place,
    tell_remarks,
    training_part,
)
from shared.runs.frozen_model import FrozenModel, load_model
from shared.runs.plan import Plan
from shared.runs.request import Request
from shared.training import loop, program
from shared.training.kept_programs import keep_programs
from shared.training.progress import Progress

MORE = ("preset", "label", "loggers", "sweep")
"""What else `train` takes, with what belongs to the data."""


def start(request: Request, *, progress: Progress | None = None) -> list[Path]:
    """Load what a request asks for, and train it.

    Returns:
        The new run folder; those of all members of a sweep.

    Raises:
        ConfigError: contradictory or unknown settings.
        DataError: no such data, or data with a fault.
        RunError: the folder is not empty, or a run whose model is asked for is unfit.
    """
    keep_programs()
    progress = progress or Progress()
    plan = request.plan()
    request = request.named(plan)
    assert request.out is not None
    require_empty(request.out)  # before minutes go into the data
    with progress.loading(plan.dataset) as update:
        data = request.data_of(plan).load(update, os.cpu_count() or 1)
    for sentence in filter(None, (data.note, *data.warnings, unused_rows(request, data))):
        progress.tell(sentence)
    if request.data.name is None and data.name != plan.dataset:  # the file says what it is
        request = replace(request, data=replace(request.data, name=data.name))
        plan = request.plan()
    source = request.model or request.features
    model = None if source is None else load_model(source, plan, data)
    options = {"model": model, "progress": progress, "label": request.label}
    if request.sweep:
        swept = members.combinations(request.sweep)
        plans = [request.plan(**values) for values in swept]
        return members.start(plans, swept, data, request.out, **options, loggers=request.loggers)
    return [train_plan(plan, data, request.out, **options, loggers=request.loggers)]


def unused_rows(request: Request, data: Dataset) -> str | None:
    """What to tell whoever gave `rows` with data that are read whole, not recorded."""
    if "rows" not in request.overrides or data.source == "collected" and not request.data.path:
        return None
    return (
        f"note: rows={request.overrides['rows']} is how many to record at most; these data are "
        f"there already, and all {data.rows:,} are used."
    )


def train_plan(
    plan: Plan,
    data: Dataset,
    out: Path,
    *,
    model: FrozenModel | None = None,
    progress: Progress | None = None,
    loggers: tuple[str, ...] = (),
    label: str | None = None,
) -> Path:
    """Train a plan on loaded data in a new run folder.

    Arguments:
        plan: from `shared.make_plan`.
        data: from `shared.load_data`.
        out: the new run folder.
        model: of another run, taken over frozen.
        progress: a bar or lines; silent by default.
        loggers: any of `tensorboard`, `wandb`.
        label: name of this variant in tables and plots; default: the algorithm's.

    Returns:
        The path of the run folder.

    Raises:
        ConfigError: fine-tuning of a task without a simulator, or nothing to train.
    """
    check_plan(plan, data, model)
    progress = progress or Progress()
    tell_remarks(plan, data, progress)
    seen = training_part(plan.settings, data)
    dataset = place(plan.settings, seen, progress)
    progress.expect(partial(estimates.forecast, [plan], data.spec))
    names = program.metric_names(plan.build(), seen.spec, dataset)
    prepare = loop.unchanged if model is None else partial(model.put_into, seeds=plan.seeds)
    entries = {"model": model, "label": label, "loggers": list(loggers)}
    if data.pixels is not None:
        entries["fitted"] = fitting.fit(plan, data.spec, progress)
    with new_run(plan, data, Path(out), names, **entries) as run:
        carry_out(run, plan, dataset, seen.spec, progress, prepare)
    return run.path


def train(
    family: str,
    algorithm: str | None = None,
    *,
    env: str | None = None,
    data: str | Path | None = None,
    seeds: SupportsIndex | Iterable[SupportsIndex] = 1,
    out: str | Path | None = None,
    model: str | Path | None = None,
    overrides: dict[str, Any] | None = None,
    progress: Progress | None = None,
    **more: Any,
) -> list[Path]:
    """`cnf train` (or `clap train`) as a function.

        shared.train("cnf", env="hopper-medium", preset="quick", seeds=2, out="runs/mine")

    Arguments:
        family: `cnf` or `clap`.
        algorithm: `--algo`; default: the family's own.
        env: `--env`, a data set (with `data` also a task).
        data: `--data`, a file or folder of your own.
        seeds: how many, or which.
        out: the new run folder.
        model: `--model`, a run whose frozen model is taken over.
        overrides: `--set`, hyperparameters and run settings by name.
        progress: a bar or lines; silent by default.
        more: `preset`, `label`, `loggers`, `sweep`; `source`, `data_dir`, `observation`.

    Returns:
        The run folder; of a sweep those of all members.

    Raises:
        UserError: as of `start`.
    """
    of_data = {
        name: more.pop(name) for name in ("source", "data_dir", "observation") if name in more
    }
    if unknown := next((name for name in more if name not in MORE), None):
        raise ConfigError(
            f"train has no argument '{unknown}'; values of --set go into overrides="
            f"{{'{unknown}': ...}}, and else it knows {', '.join(MORE)}."
        )
    for name, value in {"overrides": overrides, "sweep": more.get("sweep")}.items():
        if not isinstance(value or {}, Mapping):
            raise ConfigError(f"{name} is {value!r}; write a dictionary from names to values.")
    if not isinstance(env, str | None):
        raise ConfigError(f"env is {env!r}; write the name of a data set (a file goes into data).")
    request = Request(
        family,
        algorithm or family,
        DataRequest(env, None if data is None else Path(data), **of_data),
        seeds=_numbers(seeds),
        overrides=overrides or {},
        out=None if out is None else Path(out),
        model=None if model is None else Path(model),
        **more,
    )
    return start(request, progress=progress)


def _numbers(seeds: Any) -> tuple[int, ...]:
    """How many, or which; NumPy's whole numbers are some."""
    try:
        some = list(seeds) if isinstance(seeds, Iterable) else range(operator.index(seeds))
        if isinstance(seeds, str | bytes | bool) or any(isinstance(x, bool) for x in some):
            raise TypeError
        return tuple(map(operator.index, some))
    except TypeError:
        told = f"seeds is {seeds!r}; write how many, or a list of whole numbers."
        raise ConfigError(told) from None
