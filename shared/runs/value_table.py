"""Every value of every run, in the words of `configs/resolved.csv`.

    algorithm, observation, preset, key, value, data sets

A row is a value that differs from the algorithm's default, and the data sets and tasks that get
it, in the order of the catalog; `all` if all do.  Under the algorithm's name come its
hyperparameters, under `run` the settings of a run.  `--set` comes on top.
"""

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Iterator

from shared.data.catalog import CATALOG
from shared.environments.tasks import ENVIRONMENTS
from shared.runs import config, registry
from shared.runs.plan import make_plan
from shared.training.settings import RunSettings

COLUMNS = ("algorithm", "observation", "preset", "key", "value", "data sets")


def value_table() -> str:
    """The table of all our algorithms as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for family in registry.FAMILIES:
        for name in registry.ours(family):
            writer.writerows(rows_of_algorithm(family, name))
    writer.writerows(_rows_of_runs())
    return text.getvalue()


def names(observation: str) -> list[str]:
    """The data sets, and the tasks that are none, that a policy may see in this way."""
    found = list(dict.fromkeys([*CATALOG, *ENVIRONMENTS]))
    if observation == "state":
        return found
    drawn = {x.name for x in CATALOG.values() if x.suite == "vd4rl"}
    return [name for name in found if name in drawn]


def rows_of_algorithm(family: str, name: str) -> Iterator[tuple[str, ...]]:
    """The rows of one algorithm's hyperparameters."""
    found = registry.find(family, name)
    document = config.load_values(name)
    for observation in found.observations:
        owners = config.owners_of(found, pixels=observation == "pixels")
        defaults = config.common_values(owners) | document["defaults"]
        defaults = config.check(owners, defaults, where=name)
        for preset in ("paper", *document["presets"]):
            options = {"preset": preset, "pixels": observation == "pixels", "file": found.values}
            values = {
                dataset: config.resolve(found, name, dataset=dataset, **options)
                for dataset in names(observation)
            }
            for dataset in {tuple(own.items()): key for key, own in values.items()}.values():
                seen = {"observation": observation}  # values of their own must make an algorithm
                make_plan(family, name, dataset, preset=preset, overrides=seen)
            yield from _rows((name, observation, preset), values, defaults)


def _rows_of_runs() -> Iterator[tuple[str, ...]]:
    document = config.load_values("run")
    defaults = config.check((RunSettings,), document["defaults"], where="run")
    presets = ("paper", *document["presets"])
    for observation, preset in itertools.product(("state", "pixels"), presets):
        options = {"preset": preset, "pixels": observation == "pixels"}
        values = {
            dataset: config.resolve(RunSettings, "run", dataset=dataset, **options)
            for dataset in names(observation)
        }
        yield from _rows(("run", observation, preset), values, defaults)


def _rows(head: tuple[str, ...], values: dict[str, dict], defaults: dict) -> Iterator[tuple]:
    """What differs from the defaults, data sets of one value in one row."""
    groups = defaultdict(list)
    for dataset, own in values.items():
        for key, value in own.items():
            if value != defaults[key]:
                groups[key, _text(value)].append(dataset)
    for (key, value), found in sorted(groups.items()):
        yield (*head, key, value, "all" if len(found) == len(values) else " ".join(found))


def _text(value) -> str:
    """As `--set` takes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):  # 1.0 is no "true"
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
