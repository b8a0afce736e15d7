"""From a YAML file to a `Study`, refusing every unknown key."""

import difflib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from shared.errors import ConfigError
from shared.runs.conversion import convert
from shared.storage.yaml_text import load_yaml, told
from shared.studies.data_sets import read_data_sets, to_plain
from shared.studies.parts import list_of, mapping_of, text_of
from shared.studies.rows import COMMON_KEYS, GROUPS, read_rows
from shared.studies.study import Reporting, Study

KEYS = ("title", "question", "data", "source", *COMMON_KEYS, "values", *GROUPS, "report")
REPORT_KEYS = ("notes", "claims", "mode", "axis")
Files = Mapping[str, Path] | None
"""Label of a data set -> the file that it is; None opens no file and looks for none."""


def committed() -> dict[str, Path]:
    """Name -> file of the studies that come with the project."""
    folder = Path(str(resources.files("configs") / "studies"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_study(name: str, files: Files) -> Study:
    """A study by its name, or by the path of its file.

    Arguments:
        name: one of `committed`, or the path of a file.
        files: those that the study leaves open.

    Raises:
        ConfigError: there is none, or its file cannot be understood.
    """
    known = committed()
    path = known.get(name, Path(name))
    if not path.is_file():
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"the nearest name is '{near[0]}', or " if near else ""
        raise ConfigError(f"study '{name}' does not exist; {hint}name a YAML file.")
    try:
        document = load_yaml(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(
            f"{path}: cannot be read as YAML ({told(error)}); mend the file."
        ) from None
    return make_study(document, path.stem, str(path), files)


def make_study(document: Any, name: str, where: str, files: Files) -> Study:
    """The study that a document describes; `where` that stands is named in errors."""
    document = mapping_of(document, where, KEYS)
    for key in ("title", "data"):
        if not document.get(key):
            raise ConfigError(f"{where}: '{key}' is missing; add it.")
    data = read_data_sets(document, where, files)
    return Study(
        name=name,
        title=text_of(document["title"], f"{where}: 'title'"),
        question=_one_line(document.get("question", ""), f"{where}: 'question'"),
        data=data,
        rows=read_rows(document, where),
        report=_reporting(document.get("report"), f"{where}: report"),
        document=document | {"data": [to_plain(one) for one in data]},
    )


def _reporting(values: Any, where: str) -> Reporting:
    values = mapping_of(values, where, REPORT_KEYS)
    notes = (_one_line(note, f"{where}: notes") for note in list_of(values.get("notes"), where))
    claims = []
    for pair in list_of(values.get("claims"), f"{where}: claims"):
        first_and_second = convert(pair, tuple[str, ...], f"{where}: claims")
        if len(first_and_second) != 2:
            raise ConfigError(f"{where}: claims: {pair!r} is no pair of labels.")
        claims.append(first_and_second)
    rest = {key: text_of(values[key], where) for key in ("mode", "axis") if key in values}
    return Reporting(tuple(notes), tuple(claims), **rest)


def _one_line(value: Any, where: str) -> str:
    return " ".join(text_of(value, where).split())
