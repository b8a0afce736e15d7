"""Tables that grow line by line and can be cut back to an earlier row.

Every row is one complete line, so a killed writer leaves at most one torn
line, which the next opening removes, and cutting back to a recorded number of
rows leaves exactly the bytes that stood there then.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import RunError
from shared.storage.durable import disk_errors, sync_folder


class _LineFile:
    """A file of complete lines; knows where each of them ends."""

    def __init__(self, path: Path):
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        text = np.frombuffer(path.read_bytes(), np.uint8)
        self.ends = [0, *(np.flatnonzero(text == ord("\n")) + 1).tolist()]
        os.ftruncate(self._descriptor, self.ends[-1])

    @property
    def lines(self) -> int:
        return len(self.ends) - 1

    def append(self, lines: Sequence[str]) -> None:
        encoded = [line.encode() for line in lines]
        rest = memoryview(b"".join(encoded))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BaseException:
            os.ftruncate(self._descriptor, self.ends[-1])
            raise
        for line in encoded:
            self.ends.append(self.ends[-1] + len(line))

    def cut(self, lines: int) -> None:
        del self.ends[lines + 1 :]
        os.ftruncate(self._descriptor, self.ends[-1])

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class TableLog:
    """A CSV table with fixed columns and, if asked for, a JSON-lines twin.

    Opening an existing table goes on after its last complete row.  Numbers
    are written in the fewest digits that give the same float32 or float64
    back, so equal values are equal bytes.

    Args:
        path: the CSV file; made with its header if it is not there.
        columns: names of the columns; an existing file must have the same.
        twin: a file with one JSON object a row, without the blank entries.

    Raises:
        RunError: the file has other columns, or cannot be opened.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, twin: Path | None = None):
        self.path, self.columns = Path(path), tuple(columns)
        header = _csv_line(self.columns)
        with disk_errors(f"{path} could not be opened for writing", "make it writable"):
            self._csv = _LineFile(self.path)
            self._twin = None if twin is None else _LineFile(Path(twin))
            if self._csv.lines == 0:
                self._csv.append([header])
            sync_folder(self.path.parent)
        with open(path, encoding="utf-8", newline="") as opened:
            found = opened.readline()
        if found != header:
            self.close()
            raise RunError(
                f"{path} has the columns {found.strip()!r} instead of {header.strip()!r}; resume "
                "with the version and settings that started the run."
            )
        self.truncate_to(min(self.rows, self._twin.lines) if self._twin else self.rows)

    @property
    def rows(self) -> int:
        """Complete rows, without the header."""
        return self._csv.lines - 1

    def append(self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Add one row, or several at once; absent columns stay blank.

        Raises:
            ValueError: a column that the table does not have, or text with a line break.
            RunError: the disk is full; the table keeps the rows it had.
        """
        batch = rows if isinstance(rows, Sequence) else [rows]
        plain_rows = [self._checked(row) for row in batch]
        lines = [_csv_line(row.get(name, "") for name in self.columns) for row in plain_rows]
        kept = self.rows
        with disk_errors(f"{self.path} could not be extended", "make room and resume"):
            try:
                self._csv.append(lines)
                if self._twin is not None:
                    self._twin.append([_json_line(row) for row in plain_rows])
            except BaseException:
                self._csv.cut(kept + 1)
                raise

    def truncate_to(self, rows: int) -> None:
        """Cut the table back to its first `rows` rows, byte for byte.

        Raises:
            RunError: the table has fewer rows than that.
        """
        if rows > self.rows:
            raise RunError(
                f"{self.path} has {self.rows} rows where the checkpoint remembers {rows}; restore "
                "the file or start the run anew."
            )
        self._csv.cut(rows + 1)
        if self._twin is not None:
            self._twin.cut(rows)

    def sync(self) -> None:
        """Wait until all rows would survive a power cut."""
        with disk_errors(f"{self.path} could not be written", "make room and resume"):
            self._csv.sync()
            if self._twin is not None:
                self._twin.sync()

    def close(self) -> None:
        """Close the files; the rows are on the disk already."""
        self._csv.close()
        if self._twin is not None:
            self._twin.close()

    def _checked(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The filled entries in the order of the columns, as Python values."""
        unknown = [name for name in row if name not in self.columns]
        if unknown:
            raise ValueError(f"{self.path} has no column {unknown[0]!r}")
        filled = {n: _python_value(row[n]) for n in self.columns if row.get(n) is not None}
        for name, value in filled.items():
            if isinstance(value, str) and len(f"{value}.".splitlines()) > 1:
                raise ValueError(f"{name!r} of a row of {self.path} has a line break")
        return filled


def _python_value(value: Any) -> Any:
    """A Python number or string; of a float32, the one with the fewest digits."""
    if not hasattr(value, "__array__"):
        return value
    scalar = np.asarray(value)[()]
    return float(str(scalar)) if isinstance(scalar, np.floating) else scalar.item()


def _csv_line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _json_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
