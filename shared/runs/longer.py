"""Longer, later: a run that goes on behind the end it was planned for.

The record notes the extension before `config.yaml` follows, so a kill in between loses nothing:
what was noted is carried out by the next resumption.
"""

from dataclasses import replace

from shared.errors import ConfigError
from shared.record.run_folder import RunFolder
from shared.runs.plan import Plan
from shared.runs.run_record import command, phases_of
from shared.training.progress import Progress
from shared.training.schedule import due


def planned(run: RunFolder) -> int:
    """Updates of the policy that a run is to have, its extensions included."""
    noted = [more["to"] for more in run.record.get("extensions", ())]
    return max([run.config["hyperparameters"].get("steps", 0), *noted])


def check(run: RunFolder, steps: int) -> None:
    """May this run have `steps` updates of its policy?

    To ask again for what an unfinished run was given already is no mistake.

    Raises:
        ConfigError: fewer than it has, or none that could follow what it has done.
    """
    if run.config["run"].get("online_steps"):
        raise ConfigError(
            f"--steps: {run.path} fine-tunes in the simulator, which nothing can follow; start "
            "a new run."
        )
    is_done = run.record["status"] == "finished"
    if steps < planned(run) or (steps == planned(run) and is_done):
        raise ConfigError(
            f"--steps is {steps:,}, but {run.path} was planned for {planned(run):,}; give a larger "
            "number, or leave the option out."
        )
    plan = Plan.from_dict(run.config)
    before = phases_of(plan)
    after = before if "steps" not in plan.hyperparameters else phases_of(_with(plan, steps))
    grows = after[-1] == {**before[-1], "steps": steps}
    if before[:-1] != after[:-1] or not grows:
        raise ConfigError(
            f"--steps: the last phase of {run.path}, '{before[-1]['name']}', does not last as long "
            "as 'steps' says; start a new run."
        )


def lengthen(run: RunFolder, steps: int, progress: Progress) -> Plan:
    """The plan of a run with `steps` updates of its policy, noted in the run's files.

    `progress` is told why the run is not the same as one that had them from the start, if so.
    """
    plan, noted = Plan.from_dict(run.config), run.record.get("extensions", [])
    now = plan.hyperparameters.get("steps", 0)
    if steps == now:
        return plan
    longer = _with(plan, steps)
    for sentence in _differences(run, plan, longer):
        progress.tell(sentence)
    if not noted or noted[-1]["to"] != steps:
        noted = [*noted, {"from": now, "to": steps, "command": command()}]
    run.update_record(phases=phases_of(longer), extensions=noted)
    had = ", ".join(str(more["from"]) for more in noted)
    run.update_config(longer.to_dict(), note=f"steps was {had} before: see extensions in run.json")
    return longer


def _with(plan: Plan, steps: int) -> Plan:
    return replace(plan, hyperparameters=plan.hyperparameters | {"steps": steps})


def _differences(run: RunFolder, plan: Plan, longer: Plan) -> list[str]:
    """Why the longer run differs from one that was long from the start; a sentence a reason."""
    algorithm, told = longer.build(), []
    before, after = plan.hyperparameters["steps"], longer.hyperparameters["steps"]
    which = "so the run is not the same as one of that length from the start"
    if algorithm.schedules():
        told.append(
            f"{' and '.join(algorithm.schedules())} ended at update {before:,}; the schedule is "
            f"now that of {after:,} updates, {which}"
        )
    last = algorithm.phases()[-1]
    if last.refresh is not None and not due(before, last, last.refresh_every):
        told.append(
            f"phase '{last.name}' was refreshed at its end, update {before:,}, and not only every "
            f"{last.refresh_every:,}, {which}"
        )
    return told
