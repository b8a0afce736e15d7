"""From a YAML file to a `Study`, refusing every unknown key."""

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from shared.comparison.claims import DATA, SAMPLED
from shared.comparison.record import AXES
from shared.errors import ConfigError
from shared.record.schema import MODES
from shared.runs.conversion import nearest_name
from shared.storage.yaml_text import load_yaml, told
from shared.studies.data_sets import read_data_sets, to_plain
from shared.studies.parts import list_of, mapping_of, text_of
from shared.studies.rows import COMMON_KEYS, GROUPS, read_rows
from shared.studies.study import Reporting, Row, Study

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
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"the nearest name is '{near[0]}', or " if near else ""
        raise ConfigError(f"study '{name}' does not exist; {hint}name a YAML file.")
    try:
        document = load_yaml(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(
            f"{path}: cannot be read as YAML ({told(error)}); mend the file."
        ) from None
    return make_study(document, path.stem, str(path), files)


def make_study(
    document: Any, name: str, where: str, files: Files, *, recorded: bool = False
) -> Study:
    """The study that a document describes; `where` that stands is named in errors.

    With `recorded` files of the user's own are those of the document, and nobody looks for them.
    """
    document = mapping_of(document, where, KEYS)
    for key in ("title", "data"):
        if not document.get(key):
            raise ConfigError(f"{where}: '{key}' is missing; add it.")
    data = read_data_sets(document, where, files, recorded=recorded)
    rows = read_rows(document, where)
    report = _reporting(document.get("report"), f"{where}: report")
    if alone := next((first for first, second in report.claims if first == second), None):
        raise ConfigError(f"{where}: report: claims: '{alone}' is compared with itself; name two.")
    for label in (label for pair in report.claims for label in pair):
        _check_claimed(label, rows, f"{where}: report: claims")
    return Study(
        name=name,
        title=text_of(document["title"], f"{where}: 'title'"),
        question=_one_line(document.get("question", ""), f"{where}: 'question'"),
        data=data,
        rows=rows,
        report=report,
        document=document | {"data": [to_plain(one) for one in data]},
    )


def _reporting(values: Any, where: str) -> Reporting:
    values = mapping_of(values, where, REPORT_KEYS)
    listed = list_of(values.get("notes"), f"{where}: notes")
    notes = (_one_line(note, f"{where}: notes") for note in listed)
    claims = []
    for pair in list_of(values.get("claims"), f"{where}: claims"):
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(x, str) for x in pair)
        ):
            raise ConfigError(
                f"{where}: claims: {pair!r} is no pair of labels; write [FIRST, SECOND]."
            )
        claims.append((pair[0], pair[1]))
    rest = {}
    for key, choices in (("mode", (*MODES, "both")), ("axis", AXES)):
        if key in values:
            rest[key] = text_of(values[key], f"{where}: '{key}'")
            if rest[key] not in choices:
                raise ConfigError(
                    f"{where}: '{key}' is '{rest[key]}'; choose one of {', '.join(choices)}."
                )
    return Reporting(tuple(notes), tuple(claims), **rest)


def _check_claimed(label: str, rows: Sequence[Row], where: str) -> None:
    """What is claimed must be of a row, of another page (`PAGE.md: LABEL`), or of the data."""
    label = label.removesuffix(SAMPLED)
    if label == DATA or ".md: " in label:
        return
    names = [name for row in rows for name in row.names]
    if label in names:
        return
    near = nearest_name(label, names)
    raise ConfigError(f"{where}: '{label}' is no row{near}.")


def _one_line(value: Any, where: str) -> str:
    return " ".join(text_of(value, where).split())
