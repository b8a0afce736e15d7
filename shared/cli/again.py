"""The data of a run that is there already."""

from pathlib import Path
from typing import Any

from shared.errors import DataError


def data_of_run(record: dict[str, Any], data: Path | None = None, data_dir: Path | None = None):
    """The same file again, or the same set re-made.

    Arguments:
        record: the run's `run.json`.
        data: where the file is now, if not where the run found it.
        data_dir: root of the cache.

    Raises:
        DataError: a file of the user's own is gone.
    """
    from shared.data.catalog import lookup_own
    from shared.loading.load import load_observations

    pixels, form = record.get("pixels"), {"data_dir": data_dir}
    if pixels is not None:
        drawn = pixels["settings"]["name"]
        form |= {"observation": "pixels", "size": pixels["size"], "render": drawn}
    path = data or Path(record["data"]["path"])
    if path.exists():
        try:
            name = lookup_own(record["dataset"]).name
        except DataError:  # the name of a file, in a run without --env
            name = None
        return load_observations(name, data=path, trusted_source=record["source"], **form)
    if record["source"] == "yours":
        raise DataError(f"{path}: the run's data file is gone; give it with --data FILE.")
    source = {"official": "d4rl"}.get(record["source"], record["source"])
    rows = record["data"].get("frames", record["data"]["rows"])
    return load_observations(record["dataset"], source=source, rows=rows, **form)
