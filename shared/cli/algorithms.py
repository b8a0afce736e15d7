"""`algorithms`: what can be trained, from which paper, with which values."""

import click

from shared.cli.completion import complete_algorithm
from shared.runs.plan import make_plan


def algorithms_command(family: str) -> click.Command:
    """The `algorithms` command of one family."""

    @click.command(name="algorithms")
    @click.argument("name", required=False, shell_complete=complete_algorithm(family))
    @click.option("--env", "dataset", default="", help="Show the values for this data set.")
    @click.option("--preset", default="paper", show_default=True)
    def algorithms(name, dataset, preset):
        """List the algorithms, or one with its equations and every hyperparameter."""
        from shared.comparison.console import make_console

        console = make_console()
        if name is None:
            _list(console, family)
        else:
            _show(console, family, name, dataset, preset)

    return algorithms


def _list(console, family: str) -> None:
    from rich.table import Table

    from shared.runs import registry

    table = Table("name", "what", "paper", title=f"{family} algorithms")
    for name in registry.names(family):
        table.add_row(name, *registry.about(family, name))
    console.print(table)


def _show(console, family: str, name: str, dataset: str, preset: str) -> None:
    import dataclasses
    import inspect
    import typing

    from rich.table import Table

    from shared.ranges import range_of
    from shared.runs import registry
    from shared.training.settings import RunSettings

    algorithm_class = registry.find(family, name)
    console.print(inspect.getdoc(inspect.getmodule(algorithm_class)) or "", markup=False)
    plan = make_plan(family, name, dataset, preset=preset)
    phases = ", ".join(f"{p.name} {p.steps:,}" for p in plan.build().phases())
    console.print(f"phases and their updates: {phases}", markup=False)
    title = f"--set KEY=VALUE  ({preset})"
    table = Table("key", "value", "range", "meaning", title=title)
    values = plan.hyperparameters | dataclasses.asdict(plan.settings)
    for owner in (algorithm_class, RunSettings):
        hints = typing.get_type_hints(owner, include_extras=True)
        for field in dataclasses.fields(owner):
            value, allowed = str(values[field.name]), range_of(hints[field.name])
            table.add_row(field.name, value, allowed, field.metadata["help"])
    console.print(table)
