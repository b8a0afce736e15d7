"""Reads numbers from Parquet files that nobody has to trust, by pyarrow."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.data.files.signature import AGAIN
from shared.errors import DataError, printable
from shared.storage.memory import memory_limit

_ERRORS = (OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, RuntimeError)
"""What pyarrow raises on damaged files; its own classes are among these."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, open; whatever pyarrow finds wrong with it is one sentence.

    Raises:
        DataError: pyarrow is not installed, or the file is none that it can read.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet files need pyarrow; pip install 'latent-policies[robots]'."
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: does not exist or is no file; {AGAIN}.")
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except DataError:
        raise
    except _ERRORS as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0], 120)
        raise DataError(
            f"{path}: cannot be read as Parquet ({reason.rstrip('.')}); {AGAIN}, or write it with "
            "another codec."
        ) from error


def column_names(path: Path) -> tuple[str, ...]:
    """Names of the columns, in order."""
    with opened(path) as file:
        return tuple(map(str, file.schema_arrow.names))


def numeric_names(path: Path) -> tuple[str, ...]:
    """Names of those columns that hold numbers, or lists of them."""
    with opened(path) as file:
        return tuple(x.name for x in file.schema_arrow if _is_numeric(x.type))


def read_parquet(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The columns `names`, each (rows,) or (rows, ...); empty cells are NaN.

    Raises:
        DataError: damaged, larger than memory, or a column that holds no numbers.
    """
    with opened(path) as file:
        there = file.schema_arrow
        for name in names:
            if there.names.count(name) != 1:
                problem = "is missing" if name not in there.names else "is there twice"
                raise DataError(f"{path}: the column '{printable(name)}' {problem}; correct it.")
            if not _is_numeric(there.field(name).type):
                kind = printable(str(there.field(name).type))
                raise DataError(
                    f"{path}: the column '{printable(name)}' holds {kind}, not numbers; leave it "
                    "out."
                )
        _require_memory(path, file.metadata)
        table = file.read(columns=list(names), use_threads=False)
        rows = table.num_rows
        return {name: _array(path, name, table.column(name), rows) for name in names}


def read_words(path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """The same of small columns of any kind, as Python's own values."""
    with opened(path) as file:
        missing = [name for name in names if name not in file.schema_arrow.names]
        if missing:
            raise DataError(f"{path}: the column '{printable(missing[0])}' is missing; {AGAIN}.")
        _require_memory(path, file.metadata)
        table = file.read(columns=list(names), use_threads=False)
        return {name: table.column(name).to_pylist() for name in names}


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _require_memory(path: Path, metadata: Any) -> None:
    """Refuse what declares more than fits: a run of equal numbers takes a few bytes in a file."""
    groups = range(metadata.num_row_groups)
    places = itertools.product(groups, range(metadata.num_columns))
    columns = (metadata.row_group(g).column(c) for g, c in places)
    declared = sum(max(8 * x.num_values, x.total_uncompressed_size) for x in columns)
    if declared > memory_limit():
        raise DataError(
            f"{path}: declares {declared / 2**30:.1f} GiB, more than the "
            f"{memory_limit() / 2**30:.1f} GiB that may be read here; use fewer rows."
        )


def _array(path: Path, name: str, column: Any, rows: int) -> np.ndarray:
    """A column as one array; lists become axes."""
    from pyarrow import compute, types

    what, shape = f"{path}: the column '{printable(name)}'", [rows]
    x = column.combine_chunks()
    x = x.combine_chunks() if hasattr(x, "combine_chunks") else x
    while types.is_list(x.type) or types.is_large_list(x.type) or types.is_fixed_size_list(x.type):
        sizes = compute.call_function("list_value_length", [x]).unique().to_pylist() or [0]
        if len(sizes) > 1 or None in sizes:
            raise DataError(f"{what} has lists of different lengths; store as many in each row.")
        shape.append(int(sizes[0]))
        x = x.flatten()
    found = x.to_numpy(zero_copy_only=False)
    if found.dtype == object:  # flags with empty cells
        found = np.array([np.nan if v is None else v for v in found], np.float32)
    return found.reshape(shape)
