"""The data of a run that is there already."""

from pathlib import Path
from typing import Any


def data_of_run(record: dict[str, Any], data: Path | None = None, data_dir: Path | None = None):
    """The same file again, or the same set re-made; as of `DataRequest.of_record`."""
    from shared.loading.request import DataRequest

    return DataRequest.of_record(record, data, data_dir).load()
