"""One page an algorithm, made from its docstring, its configuration and its ranges.

A Sphinx extension: before the pages are read it writes `algorithms/NAME.md` for every
algorithm of both families, and their table `algorithms/index.md`.
"""

import dataclasses
import inspect
import typing
from pathlib import Path

from shared.cli.algorithms import settable
from shared.ranges import range_of
from shared.runs import config, registry
from shared.runs.plan import make_plan

FAMILIES = {"cnf": "Model-free", "clap": "Model-based"}


def page(family: str, name: str) -> str:
    """What an algorithm is, from which paper, and every hyperparameter with its values."""
    title, paper = registry.about(family, name)
    found = registry.find(family, name)
    presets = ["paper", *config.load_values(found.values or name)["presets"]]
    values = [make_plan(family, name, "", preset=preset).hyperparameters for preset in presets]
    heads = ["key", *presets, "range", "meaning"]
    rows = [heads, ["---"] * len(heads)]
    hints = typing.get_type_hints(found, include_extras=True)
    for field in dataclasses.fields(found):
        shown = [f"`{settable(value[field.name])}`" for value in values]
        allowed = range_of(hints[field.name]).replace("|", "\\|")
        rows.append([f"`{field.name}`", *shown, allowed, field.metadata["help"]])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    text = inspect.getdoc(inspect.getmodule(found)) or ""
    return f"""# {name}

**{title}** ({paper})

```
{family} train --env hopper-medium --algo {name} --preset {presets[-1]}
```

```text
{text}
```

## Hyperparameters

What holds for all data sets; those of one data set are in `configs/resolved.csv` and in
`{family} algorithms {name} --env SET --preset PRESET`.

{table}
"""


def index() -> str:
    """All algorithms in one list a family."""
    lines = ["# Algorithms", ""]
    names = []
    for family, title in FAMILIES.items():
        lines += [f"## {title}: `{family} train --algo NAME`", "", "| name | what | paper |"]
        lines += ["|---|---|---|"]
        for name in registry.names(family):
            about, paper = registry.about(family, name)
            lines.append(f"| [{name}]({name}.md) | {about} | {paper} |")
            names.append(name)
        lines.append("")
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *names, "```", ""])


def write_pages(folder: Path) -> None:
    """Write every page whose text has changed."""
    pages = {"index": index()}
    pages |= {name: page(family, name) for family in FAMILIES for name in registry.names(family)}
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        file = folder / f"{name}.md"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "algorithms"))
    return {"parallel_read_safe": True}
