"""A folder of files as one list of rows: shards or single episodes of one schema."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.data.files.attributes import Attributes
from shared.data.files.folder import digest_of
from shared.data.files.one_file import Source
from shared.data.recording.columns import Columns, Fault
from shared.data.recording.units import OFFSET_KEY, RANGE_KEYS
from shared.errors import DataError


def joined(path: Path, files: Sequence[Path], parts: Sequence[Source]) -> Source:
    """All rows of a folder's files; the last row of a file ends its episode."""
    faults = _told_once(files, [part.faults for part in parts])
    columns = None
    _require_one_unit(files, parts)
    if not any(fault.severity == "error" for fault in faults):
        found = [part.columns for part in parts if part.columns is not None]
        _require_one_schema(files, found)
        columns, unmarked = _concatenated(found)
        if unmarked:
            sentence = f"{unmarked} of {len(files)} files end without a flag; read as timeouts."
            faults.append(Fault("no-timeouts", "warning", sentence))
    return Source(digest_of(list(files)), None, _shared(parts), parts[0].keys, columns, faults)


def _told_once(files: Sequence[Path], faults: Sequence[list[Fault]]) -> list[Fault]:
    where: dict[Fault, list[str]] = {}
    for file, own in zip(files, faults, strict=True):
        for fault in own:
            where.setdefault(fault, []).append(file.name)
    found = []
    for fault, names in where.items():
        more = f" and {len(names) - 1} more files" if len(names) > 1 else ""
        found.append(fault._replace(sentence=f"{names[0]}{more}: {fault.sentence}"))
    return found


def _require_one_schema(files: Sequence[Path], parts: Sequence[Columns]) -> None:
    def schema(columns: Columns) -> dict[str, tuple[int, ...]]:
        return {k: x.shape[1:] for k, x in columns._asdict().items() if x is not None}

    first = schema(parts[0])
    for file, own in zip(files, map(schema, parts), strict=True):
        odd = [key for key in (first | own) if first.get(key) != own.get(key)]
        if odd:
            forms = [str(x[odd[0]]) if odd[0] in x else "absent" for x in (own, first)]
            raise DataError(
                f"{file}: '{odd[0]}' is {forms[0]} a row, but {forms[1]} in {files[0].name}; keep "
                "files of one schema in a folder."
            )


def _require_one_unit(files: Sequence[Path], parts: Sequence[Source]) -> None:
    for key in (*RANGE_KEYS, OFFSET_KEY):
        told = [part.attributes.get(key) for part in parts]
        if odd := next((i for i, x in enumerate(told) if x != told[0]), 0):
            raise DataError(
                f"{files[odd]}: '{key}' is {told[odd]}, but {told[0]} in {files[0].name}; keep "
                "files of one unit in a folder."
            )


def _concatenated(parts: Sequence[Columns]) -> tuple[Columns, int]:
    """All rows, and the number of files whose end had to be marked as a timeout."""
    by_column = zip(*parts, strict=True)
    joined = Columns(*(None if x[0] is None else np.concatenate(x) for x in by_column))
    if len(parts) == 1:
        return joined, 0
    ends = np.cumsum([len(x.reward) for x in parts]) - 1
    timeout = np.zeros(len(joined.reward), bool) if joined.timeout is None else joined.timeout
    unmarked = ends[~joined.terminal[ends] & ~timeout[ends]]
    timeout[unmarked] = True
    return joined._replace(timeout=timeout), len(unmarked)


def _shared(parts: Sequence[Source]) -> Attributes:
    """What all files say alike; a collected part makes the whole a collected set."""
    first = parts[0].attributes.items()
    same = {k: v for k, v in first if all(part.attributes.get(k) == v for part in parts)}
    if any(part.attributes.get("source") == "collected" for part in parts):
        same["source"] = "collected"
    return same
