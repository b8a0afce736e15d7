"""A run folder and what trains in it: the steps that a start, a sweep and a resumption share."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shared.datasets.dataset import Dataset
from shared.datasets.row_data import RowData
from shared.environments.checked import check_simulator
from shared.environments.simulators import has_simulator
from shared.environments.units import Units
from shared.errors import ConfigError, RunError
from shared.models.learner import trained_parameters
from shared.record.run_folder import RunFolder
from shared.record.status import recording
from shared.runs import fitting
from shared.runs.frozen_model import FrozenModel, load_model_again
from shared.runs.longer import lengthen, planned
from shared.runs.plan import Plan
from shared.runs.run_record import make_record
from shared.training import loop
from shared.training.loggers import make_loggers
from shared.training.progress import Progress
from shared.training.settings import RunSettings

LoadData = Callable[[dict[str, Any]], Dataset]
"""From a run's record to its data."""


def check_plan(plan: Plan, data: Dataset, model: FrozenModel | None = None) -> None:
    """Raise a ConfigError for a plan that these data, or this model, leave nothing to do.

    The same for a simulator that does not act as the data do.
    """
    online = plan.settings.online_steps
    if data.attributes.get("reward") == "none" and plan.build().learns_from_rewards:
        raise ConfigError(
            f"{data.path}: nothing says what the reward is, so '{plan.algorithm}' has nothing to "
            "learn from; use --algo bc, or write 'reward: success' (or another) into a YAML, see "
            "docs/your-data.md."
        )
    if online and not has_simulator(data.environment):
        raise ConfigError(
            f"online_steps is {online}, but no simulator is known for '{plan.dataset}'; leave it "
            "out."
        )
    if data.environment is not None and has_simulator(data.environment):
        check_simulator(data.environment, Units(data.action_range, data.observation_offset))
    algorithm = plan.build()
    *_, last = phases = algorithm.phases()
    own = None if model is None or algorithm.reusable is None else algorithm.reusable.phase
    acts_itself = last.evaluates and last.name == own
    if not sum(phase.steps for phase in phases) and not online and not acts_itself:
        raise ConfigError(
            "there is nothing to train: every phase has 0 updates; set steps to at least 1."
            if model is None
            else f"nothing is left to train on the model of {model.record['run']}; evaluate it."
        )


def tell_remarks(plan: Plan, data: Dataset, progress: Progress) -> None:
    """What the algorithm has to say of these data before it starts."""
    for remark in plan.build().remarks(data):
        progress.tell(remark)


def training_part(settings: RunSettings, data: Dataset) -> Dataset:
    """The data less the episodes that training never sees.

    Raises:
        ConfigError: they are pictures, of which no episode can be held out.
    """
    if not settings.held_out_episodes:
        return data
    if not isinstance(data, RowData):
        raise ConfigError(
            "held_out_episodes: of pictures no episode can be held out; leave the key out."
        )
    return data.without(data.judged_episodes(settings.held_out_episodes))


def place(settings: RunSettings, data: Dataset, progress: Progress):
    """The data where training wants them; of frames, `progress` is told first what they take."""
    options: dict[str, Any] = {"validation_fraction": settings.validation_fraction}
    if data.pixels is not None:
        progress.tell(data.estimate(settings.frames))
        options["where"] = settings.frames
    return data.to_device(**options)


def new_run(
    plan: Plan,
    data: Dataset,
    out: Path,
    metric_names: list[str],
    *,
    model: FrozenModel | None = None,
    label: str | None = None,
    **entries: Any,
) -> RunFolder:
    """A new run folder with its record, open for writing; `entries` are further ones of it."""
    record = make_record(plan, data, label) | entries
    if model is not None:
        record["model"] = model.record
    return RunFolder.create(out, config=plan.to_dict(), record=record, metric_names=metric_names)


def carry_out(run: RunFolder, plan: Plan, dataset, spec, progress: Progress, prepare) -> None:
    """Train the plan of an open run from where it stands; its status tells how that ended."""
    plan = fitting.fitted(plan, run.record)
    with recording([run]), ExitStack() as stack:
        mirrors = tuple(make_loggers(run.record.get("loggers", ()), run.path, plan.to_dict()))
        for mirror in mirrors:
            stack.callback(mirror.close)
        stack.enter_context(progress)
        state = loop.train(
            plan.build(),
            dataset,
            spec,
            run,
            seeds=plan.seeds,
            settings=plan.settings,
            progress=progress,
            mirrors=mirrors,
            prepare=prepare,
        )
        run.update_record(parameters=trained_parameters(state) // len(plan.seeds))


def carry_on(run: RunFolder, load: LoadData, progress: Progress, steps: int | None = None) -> None:
    """The rest of a run that is open for writing; it may get more `steps` than were planned."""
    data = load_again(run.path, run.record, load)
    plan = lengthen(run, steps or planned(run), progress)
    data = training_part(plan.settings, data)
    dataset = place(plan.settings, data, progress)
    carry_out(run, plan, dataset, data.spec, progress, model_again(run.record, plan, load))


def load_again(path: Path, record: dict[str, Any], load: LoadData) -> Dataset:
    """The data of a run, if they are what it was trained on.

    Raises:
        RunError: they are not.
    """
    data = load(record)
    expected = record["data"]["sha256"]
    if data.sha256 != expected:
        raise RunError(
            f"{path}: the run was trained on data with SHA-256 {expected[:12]}…, but {data.path} "
            f"has {data.sha256[:12]}…; give the run's own file with --data."
        )
    return data


def model_again(record: dict[str, Any], plan: Plan, load: LoadData) -> Callable:
    """`state -> state`: the model that a run without a checkpoint of its own begins with."""
    if "model" not in record:
        return loop.unchanged

    def prepare(state):
        return load_model_again(record, plan, load).put_into(state, plan.seeds)

    return prepare
