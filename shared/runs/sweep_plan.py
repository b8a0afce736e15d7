"""What a sweep may be, and whether one program can train all of its members."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from shared.errors import ConfigError
from shared.runs import registry
from shared.runs.frozen_model import FrozenModel
from shared.runs.plan import Plan
from shared.training import program
from shared.training.encoded import Encoded
from shared.training.on_states import OnStates
from shared.training.settings import RunSettings
from shared.training.sweep import Sweep, name_of
from shared.types import Spec

Values = Mapping[str, Any]


def check(
    plans: Sequence[Plan],
    swept: Sequence[Values],
    loggers: Sequence[str],
    model: FrozenModel | None,
) -> None:
    """Raise a ConfigError for a sweep that makes no sense."""
    settings: RunSettings = plans[0].settings
    if loggers:
        raise ConfigError("--sweep: leave out --logger, which follows a single run.")
    if settings.keep_checkpoints < 2:
        raise ConfigError(
            "--sweep needs keep_checkpoints of 2 or more: a kill may come between two members."
        )
    if settings.online_steps:
        raise ConfigError("--sweep: leave out --online-steps, which fine-tunes a single run.")
    if len({name_of(values) for values in swept}) < len(swept):
        raise ConfigError(
            "--sweep: two values have one name, that of their folders; write fewer digits."
        )
    part = plans[0].build().reusable
    frozen = set(swept[0]) & set(part.keys if model is not None and part is not None else ())
    if frozen:
        raise ConfigError(
            f"--sweep {min(frozen)}: the value belongs to the model that --model takes over; leave "
            "out one of the two."
        )
    of_run = set(swept[0]) & {field.name for field in dataclasses.fields(RunSettings)}
    if of_run:
        raise ConfigError(f"--sweep {min(of_run)}: is a setting of the run; sweep hyperparameters.")


def why_apart(
    plans: Sequence[Plan],
    swept: Sequence[Values],
    spec: Spec,
    dataset: Any,
) -> str | None:
    """Why these members cannot share one program; None if they can."""
    if isinstance(plans[0].build(), Encoded | OnStates):
        return "their observations are features"
    hints = typing.get_type_hints(registry.find(plans[0].family, plans[0].algorithm))
    for name, value in swept[0].items():
        if hints.get(name) not in (float, float | None) or isinstance(value, str):
            return f"'{name}' is no float of the algorithm"
        if any(values[name] is None for values in swept):
            return f"'{name}' is switched off by null"
    try:
        every = together(plans[0], swept)
        networks = jax.tree.flatten(program.state_shapes(every, spec, (0,)).member)
        program.metric_names(every, spec, dataset)
        if every.draws_by_values(dataset):
            return f"what is drawn depends on {', '.join(swept[0])}"
    # A program that branches on a value, or keeps it where only constants may be.
    except (TypeError, jax.errors.UnexpectedTracerError, jax.errors.ConcretizationTypeError):
        return f"{', '.join(swept[0])} shapes the program"
    for plan, values in zip(plans, swept, strict=True):
        if jax.tree.flatten(program.state_shapes(plan.build(), spec, (0,))) != networks:
            return f"{name_of(values)} has other networks than the other values"
    return None


def how(reason: str | None, plan: Plan, model: FrozenModel | None) -> str:
    """One sentence on how the members are trained."""
    if reason:
        return f"sweep: one run a value, one after another, because {reason}"
    if model is None and plan.build().reusable:
        return (
            "sweep: all values side by side in one program, each with a model of its own; with "
            "--model RUN they would share a trained one"
        )
    return "sweep: all values side by side in one program"


def together(plan: Plan, swept: Sequence[Values]) -> Sweep:
    """The algorithm of all members at once."""
    return Sweep(algorithm=plan.build(), names=tuple(swept[0]))
