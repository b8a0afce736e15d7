"""Tables: a CSV or Parquet file of all episodes, or a folder with one file an episode."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.data.files.folder import require_inside
from shared.data.files.robots.layout import Layout
from shared.data.files.robots.parquet import numeric_names, read_parquet
from shared.data.files.robots.recorded import Recording, require_columns
from shared.errors import DataError, printable
from shared.storage.memory import memory_limit

ENDINGS = (".csv", ".parquet")
_TRUTH = {"true": "1", "false": "0"}
_SNIFFED = 1 << 16


def table_files(path: Path) -> list[Path]:
    """The tables of a folder in the order of their names, or the one; empty if there is none.

    Raises:
        DataError: CSV and Parquet are mixed, or a link leads out of the folder.
    """
    if not path.is_dir():
        return [path] if path.suffix.lower() in ENDINGS else []
    files = sorted(x for x in path.iterdir() if x.suffix.lower() in ENDINGS)
    if len({x.suffix.lower() for x in files}) > 1:
        raise DataError(f"{path}: mixes .csv and .parquet files; keep one of the two.")
    for file in files:
        require_inside(path, file)
    return files


def read_tables(layout: Layout, wanted: Sequence[str], *, every: bool = False) -> Recording:
    """The columns of every episode.

    Arguments:
        layout: whose data are the tables.
        wanted: names of columns, all of which must be there.
        every: read the other columns of numbers too.

    Raises:
        DataError: a file is damaged, a column is missing or holds no numbers, or the episodes of
            a table are not one after another.
    """
    files = table_files(layout.data)
    names = {file: _numeric(file) for file in files[:1]}
    first = names[files[0]]
    require_columns(layout.path or files[0], wanted, _all_names(files[0], first))
    wanted = list(dict.fromkeys([*wanted, *(first if every else ())]))
    episodes, labels, total = [], [], 0
    for file in files:
        arrays = _read(file, wanted)
        total += sum(x.nbytes for x in arrays.values())
        if total > memory_limit():
            raise DataError(f"{layout.data}: its tables do not fit into memory; use fewer.")
        if not arrays or not len(next(iter(arrays.values()))):
            raise DataError(f"{file}: has no rows; record some, or leave the file out.")
        parts = _parted(file, arrays, layout.episode)
        episodes += [part for _, part in parts]
        labels += [label for label, _ in parts]
    return Recording("table", episodes, labels, files, tuple(first))


def _parted(
    file: Path, arrays: dict[str, np.ndarray], column: str | None
) -> list[tuple[str, dict[str, np.ndarray]]]:
    """The episodes of one table: all of it, or where the column changes."""
    if column is None:
        return [(file.name, arrays)]
    number = arrays[column].reshape(len(arrays[column]), -1)[:, 0]
    if not np.isfinite(number.astype(np.float64)).all():
        raise DataError(f"{file}: '{printable(column)}' has empty cells; number every row.")
    starts = np.append(0, np.flatnonzero(number[1:] != number[:-1]) + 1)
    _, counts = np.unique(number[starts], return_counts=True)
    if (counts > 1).any():
        seen: set = set()
        again = next(int(i) for i in starts if number[i] in seen or seen.add(number[i]))
        raise DataError(
            f"{file}: episode {number[again]:g} of '{printable(column)}' comes again in row "
            f"{again:,} after another one; sort the table by episode and time."
        )
    stops = np.append(starts[1:], len(number))
    return [
        (f"episode {number[a]:g}", {k: x[a:b] for k, x in arrays.items()})
        for a, b in zip(starts, stops, strict=True)
    ]


def _numeric(file: Path) -> list[str]:
    """Columns of numbers; of a CSV by its first row."""
    if file.suffix.lower() == ".parquet":
        return list(numeric_names(file))
    header, row, _ = _head(file)
    return [name for name, cell in zip(header, row, strict=False) if _is_number(cell)]


def _all_names(file: Path, numbers: list[str]) -> list[str]:
    """For CSV every name: a column that begins with an empty cell is told as such when read."""
    return numbers if file.suffix.lower() == ".parquet" else _head(file)[0]


def _read(file: Path, names: list[str]) -> dict[str, np.ndarray]:
    if file.suffix.lower() == ".parquet":
        return read_parquet(file, names)
    header, row, mark = _head(file)
    require_columns(file, names, header)
    if not _rows(file, len(header), mark):
        return {name: np.zeros(0) for name in names}
    places = [header.index(name) for name in names]
    flags = {k for k in places if k < len(row) and row[k].strip().lower() in _TRUTH}
    convert = {k: _truth for k in flags}
    try:
        found = np.loadtxt(
            file,
            delimiter=mark,
            skiprows=1,
            usecols=places,
            comments=None,
            quotechar='"',
            ndmin=2,
            converters=convert or None,
            encoding="utf-8-sig",
        )
    except (ValueError, OSError, MemoryError) as error:
        reason = printable((str(error).splitlines() or ["damaged"])[0], 120).rstrip(".;")
        raise DataError(
            f"{file}: a column that the YAML names holds no numbers ({reason}; rows are counted "
            "after the header); mend it, or leave the column out."
        ) from error
    return {name: found[:, k] for k, name in enumerate(names)}


def _rows(file: Path, size: int, mark: str) -> int:
    """Rows after the header, each of which must have `size` cells, or columns would shift."""
    count = 0
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            for cells in csv.reader(opened, delimiter=mark):
                if cells and len(cells) != size:
                    raise DataError(
                        f"{file}: row {count:,} after the header has {len(cells)} cells, but the "
                        f"header names {size} columns; give every row one cell a column."
                    )
                count += bool(cells)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as CSV ({error}); save it as UTF-8.") from error
    return count - 1


def _truth(cell: str) -> float:
    return float(_TRUTH.get(cell.strip().lower(), cell))


def _is_number(cell: str) -> bool:
    try:
        float(_TRUTH.get(cell.strip().lower(), cell))
        return True
    except ValueError:
        return False


def _head(file: Path) -> tuple[list[str], list[str], str]:
    """Names of the columns, cells of the first row, and the mark between them."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            lines = [opened.readline(_SNIFFED) for _ in range(2)]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise DataError(f"{file}: cannot be read as CSV ({reason}); save it as UTF-8.") from error
    mark = max(",;\t", key=lines[0].count)
    header, row = ([x.strip() for x in next(csv.reader([y], delimiter=mark), [])] for y in lines)
    if not header or not all(header) or _is_number(header[0]):
        raise DataError(f"{file}: the first line must name the columns; add such a line.")
    if twice := next((x for k, x in enumerate(header) if x in header[:k]), None):
        raise DataError(f"{file}: the column '{printable(twice)}' is there twice; rename one.")
    return header, row, mark
