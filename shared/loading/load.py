"""What a policy shall see, states or pixels, from a data set's name or from a run's record."""

from collections.abc import Callable
from pathlib import Path

from shared.data.catalog import lookup
from shared.data.d4rl import OfflineData
from shared.data.files.folder import episode_files
from shared.data.sources import form_of
from shared.data.vd4rl.pixel_data import PixelData
from shared.data.vd4rl.rows import has_frames
from shared.loading.pixels import load_pixels, official_folder
from shared.loading.resolve import default_data_dir, load_data

Progress = Callable[[str, int, int | None], None]


def default_observation(
    name: str,
    *,
    data: str | Path | None = None,
    source: str | None = None,
    data_dir: str | Path | None = None,
) -> str:
    """What a policy sees unless told: pixels where a folder of V-D4RL is read, else states.

    Arguments:
        name: data set.
        data: a folder or archive of V-D4RL given by the user counts as one.
        source: "collected" rules the official folder out.
        data_dir: root of the cache, where that folder may lie.
    """
    if data is not None:
        seen = form_of(Path(data)) == "vd4rl" and has_frames(episode_files(Path(data))[0])
        return "pixels" if seen else "state"
    if lookup(name).suite != "vd4rl":
        return "state"
    root = default_data_dir() if data_dir is None else Path(data_dir)
    sizes = (official_folder(lookup(name), root, size).is_dir() for size in (64, 84))
    return "pixels" if source != "collected" and any(sizes) else "state"


def load_observations(
    name: str | None,
    *,
    observation: str = "state",
    rows: int | None = None,
    size: int = 64,
    render: str = "fast",
    data: str | Path | None = None,
    source: str | None = None,
    data_dir: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    trusted_source: str | None = None,
) -> OfflineData | PixelData:
    """`load_data` for states, `load_pixels` for pixels.

    Arguments:
        name: data set; None, for states of a robot that has no name, as of `load_data`.
        observation: "state" or "pixels".
        rows: rows (frames) recorded of a collected set, at most the official number.
        size: pixels a side of an official or a recorded frame.
        render: how a collected set is drawn.
        data: as of `load_data`, like all that follow.
        source: "d4rl" or "collected" forbids the other.
        data_dir: root of the cache.
        workers: processes of a recording.
        progress: called during downloads and recordings.
        trusted_source: the source that a run noted for the very file in `data`.

    Raises:
        DataError: nothing within reach, or a file that is refused.
        ConfigError: contradictory arguments.
    """
    if observation == "state" or name is None:
        return load_data(
            name,
            data=data,
            source=source,
            data_dir=data_dir,
            rows=rows,
            workers=workers,
            progress=progress,
            trusted_source=trusted_source,
        )
    return load_pixels(
        name,
        data=data,
        source=source,
        data_dir=default_data_dir() if data_dir is None else Path(data_dir),
        frames=rows,
        size=size,
        render=render,
        workers=workers,
        progress=progress,
        trusted_source=trusted_source,
    )
