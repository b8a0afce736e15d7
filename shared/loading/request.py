"""What data a run wants: asked for once, by a name or a path, as states or as pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.data.catalog import lookup, lookup_own
from shared.data.files.folder import episode_files
from shared.data.files.source import form_of
from shared.data.vd4rl.rows import has_frames
from shared.datasets.dataset import Dataset
from shared.environments import ogbench_names
from shared.errors import DataError
from shared.loading.places import default_data_dir, official_path

Progress = Callable[[str, int, int | None], None]
"""Called with ("download", "collect", "draw" or "load", units done, units in total)."""


@dataclass(frozen=True)
class DataRequest:
    """Which data, from where, and how they are to be seen; `load` brings them.

    Attributes:
        name: data set, e.g. `hopper-medium`; with `path` also a task, e.g. `hopper`, or None
            for a robot that has no name here: then nothing scores policies.
        path: a file or folder of your own (or one with the official file); tried alone.
        source: "d4rl" or "collected" forbids the other; None takes what can be had.
        data_dir: root of the cache; None is `default_data_dir()`.
        observation: "state" or "pixels"; None is `default_observation()`.
        rows: rows (or frames) to record for a stand-in, at most the official number; None is
            the largest recording of states that the cache holds, else the official number.
        size: pixels a side of the frames, 64 or 84.
        render: how a stand-in is drawn, "fast" or "faithful".
        action_range: lowest and highest command, of all motors or a pair a motor, that the
            data's actions are scaled from; None takes what the data declare.
        cut_jumps: end episodes where the next row does not continue them, flag or no flag.
        known_source: what a run noted of the very file in `path`; a resumed run compares its
            digest, so the label stays true.
    """

    name: str | None = None
    path: Path | None = None
    source: str | None = None
    data_dir: Path | None = None
    observation: str | None = None
    rows: int | None = None
    size: int = 64
    render: str = "fast"
    action_range: tuple[float, ...] | None = None
    cut_jumps: bool = False
    known_source: str | None = None

    @classmethod
    def of_record(
        cls, record: dict[str, Any], path: Path | None = None, data_dir: Path | None = None
    ) -> "DataRequest":
        """A run's own data: the same file again, or the same set re-made.

        Arguments:
            record: the run's `run.json`.
            path: where the file is now, if not where the run found it.
            data_dir: root of the cache.

        Raises:
            DataError: a file of the user's own is gone, or `path` is not there.
        """
        pixels, about, found = record.get("pixels"), record["data"], {}
        if pixels is not None:
            found = {"size": pixels["size"], "render": pixels["settings"]["name"]}
        asked = about.get("action_range")
        found |= {"action_range": None if asked is None else tuple(asked)}
        found |= {"cut_jumps": bool(about.get("cut_jumps"))}
        found |= {"observation": "state" if pixels is None else "pixels", "data_dir": data_dir}
        if path is not None and not path.exists():
            raise DataError(f"{path}: there is no such file or folder; check --data.")
        place = path or Path(about["path"])
        if place.exists():
            name = _known_name(record["dataset"])
            return cls(name, place, known_source=record["source"], **found)
        if record["source"] == "yours":
            raise DataError(f"{place}: the run's data file is gone; give it with --data FILE.")
        source = {"official": "d4rl"}.get(record["source"], record["source"])
        rows = about.get("frames", about["rows"])
        if ogbench_names.parse(record["dataset"]) is not None:
            rows += about["episodes"]  # the last row of each is no transition
        return cls(record["dataset"], source=source, rows=rows, **found)

    @property
    def root(self) -> Path:
        """Of the cache."""
        return default_data_dir() if self.data_dir is None else Path(self.data_dir)

    def default_observation(self) -> str:
        """Pixels where a folder of V-D4RL is read that holds frames, else states."""
        if self.path is not None:
            path = Path(self.path)
            seen = form_of(path) == "vd4rl" and has_frames(episode_files(path)[0])
            return "pixels" if seen else "state"
        if self.name is None or lookup(self.name).suite != "vd4rl":
            return "state"
        sizes = (official_path(lookup(self.name), self.root, n).is_dir() for n in (64, 84))
        return "pixels" if self.source != "collected" and any(sizes) else "state"

    def load(self, progress: Progress | None = None, workers: int = 1) -> Dataset:
        """The data, read and validated.

        Arguments:
            progress: called during downloads, recordings and the reading of frames.
            workers: processes of a recording.

        Raises:
            DataError: unknown name, nothing within reach, or a file that is refused.
            ConfigError: contradictory wishes.
        """
        from shared.loading.resolve import load

        return load(self, progress, workers)


def _known_name(name: str) -> str | None:
    """The name of a data set or task; None if it is a file's, of a run without --env."""
    try:
        return lookup_own(name).name
    except DataError:
        return None


def load_data(
    name: str | None,
    *,
    data: str | Path | None = None,
    observation: str = "state",
    progress: Progress | None = None,
    workers: int = 1,
    **wishes: Any,
) -> Dataset:
    """The data set `name` in one call; what else a `DataRequest` knows goes by its name.

    Arguments:
        name: data set, task or None.
        data: a file or folder of your own.
        observation: "state" or "pixels".
        progress: as of `DataRequest.load`.
        workers: as of `DataRequest.load`.
        wishes: `source`, `data_dir`, `rows`, `size`, `render`, `action_range`, `cut_jumps`.
    """
    path = None if data is None else Path(data)
    request = DataRequest(name, path, observation=observation, **wishes)
    return request.load(progress, workers)
