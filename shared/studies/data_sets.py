"""The data of a study: names, patterns, and files that the user gives."""

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.data.catalog import canonical_name, datasets, lookup_own
from shared.errors import ConfigError, DataError
from shared.storage.checksum import sha256_of
from shared.studies.parts import list_of, mapping_of, text_of
from shared.studies.study import DataSet

SOURCES = ("d4rl", "collected")
KEYS = ("label", "name", "source", "file", "sha256")


def read_data_sets(
    document: Mapping[str, Any],
    where: str,
    files: Mapping[str, Path] | None,
    *,
    recorded: bool = False,
) -> tuple[DataSet, ...]:
    """What stands under `data`; arguments as of `reading.make_study`."""
    source, found = document.get("source"), []
    for entry in list_of(document["data"], f"{where}: 'data'"):
        if isinstance(entry, str) and "*" in entry:
            names = fnmatch.filter(datasets(), entry)
            if not names:
                raise ConfigError(f"{where}: no data set is called '{entry}'; see 'data list'.")
            found += [DataSet(name, name, source) for name in names]
        else:
            found.append(_data_set(entry, source, f"{where}: data", files, recorded))
    labels = [data.label for data in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"{where}: two data sets are '{label}'; give one another 'label'.")
    for label in set(files or ()) - {data.label for data in found if data.file is not None}:
        own = ", ".join(data.label for data in found if data.file is not None) or "none"
        raise ConfigError(f"--data {label}: the files of {where} are: {own}.")
    return tuple(found)


def _data_set(
    entry: Any,
    source: str | None,
    where: str,
    files: Mapping[str, Path] | None,
    recorded: bool,
) -> DataSet:
    values = mapping_of({"name": entry} if isinstance(entry, str) else entry, where, KEYS)
    texts = {key: text_of(x, f"{where}: '{key}'") for key, x in values.items() if x is not None}
    if (told := texts.get("source", source)) not in (None, *SOURCES):
        raise ConfigError(f"{where}: the source is {told!r}; choose one of {', '.join(SOURCES)}.")
    name = texts.get("name")
    if name is not None:
        try:
            name = lookup_own(canonical_name(name)).name
        except DataError as error:
            raise ConfigError(f"{where}: {error}") from None
    label = texts.get("label", name)
    if label is None:
        raise ConfigError(f"{where}: an entry needs a 'name' or a 'label'; add one.")
    if "file" not in values:
        return DataSet(label, name, texts.get("source", source))
    if files is None:
        return DataSet(label, name)
    if recorded and "file" in texts:
        return DataSet(label, name, None, Path(texts["file"]), texts.get("sha256"))
    file = files.get(label) or (Path(texts["file"]) if "file" in texts else None)
    if file is None or not file.exists():
        there = "" if file is None else f", and {file} is not there"
        raise ConfigError(
            f"{where}: '{label}' is a file of your own{there}; give it with --data '{label}=FILE'."
        )
    digest = sha256_of(file) if file.is_file() else None
    if texts.get("sha256", digest) != digest and label not in files:
        raise ConfigError(
            f"{where}: {file} is not what the study began with; give that file with --data "
            f"'{label}=FILE'."
        )
    return DataSet(label, name, None, file.resolve(), digest)


def to_plain(data: DataSet) -> dict[str, str]:
    """As the file of a study says it."""
    values = {key: getattr(data, key) for key in KEYS}
    return {key: str(value) for key, value in values.items() if value is not None}
