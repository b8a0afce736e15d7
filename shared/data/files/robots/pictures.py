"""The pictures of one camera, scaled, for every row of a recording.

Videos are decoded by the ffmpeg of imageio-ffmpeg, a file at a time and from its first frame on;
pictures in HDF5 are read as they are.
"""

import subprocess
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from shared.data.files.robots.layout import Layout
from shared.data.files.robots.lerobot_meta import INFO, Meta, Place, filled
from shared.data.files.signature import AGAIN
from shared.errors import DataError, printable
from shared.storage.memory import memory_limit


def of_videos(layout: Layout, meta: Meta) -> UInt8[np.ndarray, "rows size size 3"]:
    """The frames of a LeRobot folder, all episodes one after another.

    Raises:
        DataError: there is no such camera, or a video is missing, damaged, too short or of a
            codec that ffmpeg does not know.
    """
    root, key, size = layout.data, layout.image or "", layout.image_size
    cameras = [k for k, x in meta.features.items() if x.get("dtype") == "video"]
    if key not in cameras:
        told = ", ".join(map(printable, cameras)) or "none"
        raise DataError(f"{layout.path}: 'image' is '{printable(key)}', but videos are: {told}.")
    rows = sum(place.rows for place in meta.places)
    require_memory(layout, rows)
    found, decoded = np.empty((rows, size, size, 3), np.uint8), (Path(), np.empty(0))
    start = 0
    for place in meta.places:
        path, first = _video(root, meta, place, key)
        if decoded[0] != path:
            own = [x for x in meta.places if _video(root, meta, x, key)[0] == path]
            need = max(_video(root, meta, x, key)[1] + x.rows for x in own)
            decoded = path, _decoded(path, need, size)
        found[start : start + place.rows] = decoded[1][first : first + place.rows]
        start += place.rows
    return found


def _video(root: Path, meta: Meta, place: Place, key: str) -> tuple[Path, int]:
    """The file of an episode's frames, and the number of the first in it."""
    values = {"video_key": key}
    if meta.version == 2:
        values |= {"episode_index": place.number}
        values |= {"episode_chunk": place.number // int(meta.info["chunks_size"])}
        return filled(root, meta.info.get("video_path"), values), 0
    told = [place.about.get(f"videos/{key}/{x}") for x in ("chunk_index", "file_index")]
    second = place.about.get(f"videos/{key}/from_timestamp")
    if not all(isinstance(x, int) for x in told) or not isinstance(second, int | float):
        raise DataError(
            f"{root / INFO.parent}: does not say where the frames of episode {place.number} lie; "
            f"{AGAIN}."
        )
    values |= dict(zip(("chunk_index", "file_index"), told, strict=True))
    return filled(root, meta.info.get("video_path"), values), round(second * meta.fps)


def _decoded(path: Path, count: int, size: int) -> UInt8[np.ndarray, "count size size 3"]:
    """The first `count` frames of a video."""
    import imageio_ffmpeg

    words = ["-v", "error", "-nostdin", "-protocol_whitelist", "file", "-i", str(path.resolve())]
    words += ["-map", "0:v:0", "-vf", f"scale={size}:{size}:flags=area", "-frames:v", str(count)]
    words += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:"]
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words], capture_output=True)
    number, rest = divmod(len(done.stdout), size * size * 3)
    if done.returncode or rest:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DataError(
            f"{path}: cannot be decoded by ffmpeg ({printable((told or ['damaged'])[0], 100)}); "
            f"{AGAIN}, or write it with another codec (h264)."
        )
    if number < count:
        raise DataError(f"{path}: has {number} frames, but {count} rows need one; {AGAIN}.")
    return np.frombuffer(done.stdout, np.uint8).reshape(count, size, size, 3)


def scaled(what: str, x: np.ndarray, size: int) -> UInt8[np.ndarray, "rows size size 3"]:
    """Pictures of an HDF5 file at `size` pixels a side: means of blocks, or the nearest pixel.

    Raises:
        DataError: they are none.
    """
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3:
        raise DataError(
            f"{what} is {x.dtype} of shape {x.shape}, no pictures (rows, height, width, 3) of "
            "uint8; name a camera."
        )
    height, width = x.shape[1:3]
    if height % size == 0 and width % size == 0:
        blocks = x.reshape(len(x), size, height // size, size, width // size, 3)
        return blocks.mean(axis=(2, 4), dtype=np.float32).round().astype(np.uint8)
    rows, columns = (
        ((np.arange(size) + 0.5) * side / size).astype(int) for side in (height, width)
    )
    return x[:, rows][:, :, columns]


def require_memory(layout: Layout, rows: int) -> None:
    """Refuse more frames than fit."""
    need = rows * layout.image_size**2 * 3
    if need > memory_limit():
        raise DataError(
            f"{layout.path}: {rows:,} frames need {need / 2**30:.1f} GiB, more than the "
            f"{memory_limit() / 2**30:.1f} GiB that may be used here; take fewer episodes."
        )
