"""`algorithms`: what can be trained, from which paper, with which values."""

import click

from shared.cli.completion import complete_algorithm, complete_preset


def algorithms_command(family: str) -> click.Command:
    """The `algorithms` command of one family."""

    @click.command(name="algorithms")
    @click.argument("name", required=False, shell_complete=complete_algorithm(family))
    @click.option("--env", "dataset", default="", help="Show the values for this data set.")
    @click.option(
        "--preset",
        default="paper",
        show_default=True,
        shell_complete=complete_preset(family),
        help="Show the values of this preset: paper, quick, standard.",
    )
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
    from rich.text import Text

    from shared.runs import registry

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name in registry.names(family):
        title, paper = registry.about(family, name)
        table.add_row(name, title)
        table.add_row("", Text(paper, style="dim"))
    console.print(table)
    told = f"'{family} algorithms NAME' shows its equations and every hyperparameter."
    console.print(told, highlight=False)


def _show(console, family: str, name: str, dataset: str, preset: str) -> None:
    import dataclasses
    import inspect
    import typing

    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from shared.comparison.numbers import format_count
    from shared.data.catalog import lookup_own
    from shared.ranges import range_of
    from shared.runs import registry
    from shared.runs.plan import make_plan
    from shared.training.encoded import Encoding
    from shared.training.settings import RunSettings

    if dataset:
        lookup_own(dataset)  # a name that does not exist would show the values of none
    algorithm_class = registry.find(family, name)
    plan = make_plan(family, name, dataset, preset=preset)
    for line in (inspect.getdoc(inspect.getmodule(algorithm_class)) or "").splitlines():
        text = line.lstrip()  # with its indent kept where a narrow terminal wraps it
        console.print(Padding(Text(text), (0, 0, 0, len(line) - len(text))))
    phases = ", ".join(f"{p.name} {format_count(p.steps)}" for p in plan.build().phases())
    console.print(Text(f"\nphases and their updates: {phases}\n"))
    table = Table(title=f"--set KEY=VALUE  ({preset})")
    for column in ("key", "value"):
        table.add_column(column, no_wrap=True)
    table.add_column("range", overflow="fold", max_width=16)
    table.add_column("meaning", overflow="fold", min_width=16)
    values = plan.hyperparameters | dataclasses.asdict(plan.settings)
    owners = (algorithm_class, RunSettings)
    if algorithm_class.shaped_by:
        seen = {"preset": preset, "overrides": {"observation": "pixels"}}
        values = make_plan(family, name, dataset, **seen).hyperparameters | values
        owners = (algorithm_class, Encoding, RunSettings)
    for owner in owners:
        hints = typing.get_type_hints(owner, include_extras=True)
        for field in dataclasses.fields(owner):
            value, allowed = Text(settable(values[field.name])), Text(range_of(hints[field.name]))
            table.add_row(field.name, value, allowed, field.metadata["help"])
    console.print(table)


def settable(value) -> str:
    """A value as `--set KEY=VALUE` takes it, which is YAML on one line."""
    import yaml

    value = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...").replace(", ", ",")
