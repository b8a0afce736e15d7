"""What a LeRobot folder says of itself: features, rate, and where each episode lies.

    v2.x   meta/info.json, meta/episodes.jsonl, one Parquet file an episode
    v3.x   meta/info.json, meta/episodes/*/*.parquet, several episodes a Parquet file

Paths come from templates in `info.json`.  They are filled in here, not by `str.format`, which
would follow attributes, and none may lead out of the folder.

Format: LeRobot (Cadene et al., 2024), versions 2.0 to 3.0 of its data sets.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from shared.data.files.robots.parquet import read_words
from shared.data.files.signature import AGAIN
from shared.errors import DataError, printable

INFO = Path("meta", "info.json")
_BYTES = 1 << 28
_FIELD = re.compile(r"\{(\w+)(?::0?(\d{1,2})d)?\}")
_ENDS = ("length", "dataset_from_index", "dataset_to_index")


class Place(NamedTuple):
    """One episode: its number, rows and file; the first row in it, if it is not alone there."""

    number: int
    rows: int
    file: Path
    about: dict[str, Any]


class Meta(NamedTuple):
    """What `meta` says.

    Attributes:
        version: 2 or 3.
        fps: rows a second.
        features: column -> its `dtype`, `shape` and `names`.
        places: of the episodes, in order.
        files: of `meta` that were read.
        tasks: how many tasks are mixed.
        info: all of `info.json`.
    """

    version: int
    fps: float
    features: dict[str, dict]
    places: list[Place]
    files: list[Path]
    tasks: int
    info: dict[str, Any]


def is_lerobot(path: Path) -> bool:
    """Is this the folder of a LeRobot data set?"""
    return path.is_dir() and (path / INFO).is_file()


def read_meta(root: Path) -> Meta:
    """Everything but the rows.

    Raises:
        DataError: a file of `meta` is missing or damaged, or contradicts another.
    """
    path = root / INFO
    info = _json(path, _text(path))
    told = str(info.get("codebase_version", "")).lstrip("v").split(".")[0]
    if told not in ("2", "3"):
        raise DataError(
            f"{path}: is of version '{printable(str(info.get('codebase_version')))}'; versions 2 "
            "and 3 are read, so convert it with LeRobot's own script."
        )
    features = info.get("features")
    if not isinstance(features, dict) or not all(isinstance(x, dict) for x in features.values()):
        raise DataError(f"{path}: 'features' must say the columns of the data; {AGAIN}.")
    fps = info.get("fps")
    if not isinstance(fps, int | float) or isinstance(fps, bool) or not 0 < fps < 1e6:
        raise DataError(f"{path}: 'fps' must be the rows a second; correct it.")
    places, files = (_places_v2 if told == "2" else _places_v3)(root, info)
    _require_totals(path, info, places)
    tasks = info.get("total_tasks")
    tasks = tasks if isinstance(tasks, int) else 1
    return Meta(int(told), float(fps), features, places, [path, *files], tasks, info)


def filled(root: Path, template: Any, values: dict[str, Any]) -> Path:
    """The file that a template of `info.json` names, which lies in the folder.

    Raises:
        DataError: it has other fields, leads out of the folder, or nothing is there.
    """
    where = root / INFO

    def value(match: re.Match) -> str:
        found = values.get(match[1])
        if isinstance(found, int) and found >= 0:
            return f"{found:0{int(match[2] or 0)}d}"
        if isinstance(found, str) and match[2] is None:
            return found
        raise DataError(f"{where}: a path asks for '{printable(match[0])}'; {AGAIN}.")

    if not isinstance(template, str):
        raise DataError(f"{where}: has no path of the files; {AGAIN}.")
    name = _FIELD.sub(value, template)
    path = root / name
    if "{" in name or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(
            f"{where}: the path '{printable(template)}' leads out of the folder or is damaged; "
            f"{AGAIN}."
        )
    if not path.is_file():
        raise DataError(f"{path}: is missing, but {INFO} names it; {AGAIN}.")
    require_within(root, path)
    return path


def require_within(root: Path, path: Path) -> None:
    """Refuse a link that leads out of the folder, but for those of the Hub's own cache.

    There `snapshots/<revision>/...` are links into `blobs`, beside `snapshots`.
    """
    allowed = [root.resolve()]
    if root.resolve().parent.name == "snapshots":
        allowed.append(root.resolve().parents[1] / "blobs")
    if not {*allowed} & {*path.resolve().parents}:
        raise DataError(f"{path}: is a link out of the data set; copy the file itself.")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES:
            raise DataError(f"{path}: is larger than {_BYTES >> 20} MiB; {AGAIN}.")
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise DataError(f"{path}: cannot be read ({reason}); {AGAIN}.") from error


def _json(path: Path, text: str, line: str = "") -> dict[str, Any]:
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    except (ValueError, RecursionError):
        pass
    raise DataError(f"{path}: is no JSON{line} of keys and values; {AGAIN}.")


def _count(what: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise DataError(f"{what} is '{printable(str(value))}', no number of rows; {AGAIN}.")
    return value


def _places_v2(root: Path, info: dict) -> tuple[list[Place], list[Path]]:
    path = root / "meta" / "episodes.jsonl"
    places, chunk = [], info.get("chunks_size")
    if not isinstance(chunk, int) or chunk < 1:
        raise DataError(f"{root / INFO}: 'chunks_size' must be the files a folder; {AGAIN}.")
    require_within(root, path)
    for k, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            about = _json(path, line, f" in line {k}")
            number = _count(f"{path}: 'episode_index' in line {k}", about.get("episode_index"))
            rows = _count(f"{path}: 'length' in line {k}", about.get("length"))
            values = {"episode_chunk": number // chunk, "episode_index": number}
            places.append(Place(number, rows, filled(root, info.get("data_path"), values), {}))
    return sorted(places, key=lambda x: x.number), [path]


def _places_v3(root: Path, info: dict) -> tuple[list[Place], list[Path]]:
    folder = root / "meta" / "episodes"
    files = sorted(folder.glob("*/*.parquet")) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: holds no Parquet file on where episodes lie; {AGAIN}.")
    names = ("episode_index", "length", "data/chunk_index", "data/file_index")
    cameras = [k for k, x in info["features"].items() if x.get("dtype") == "video"]
    places = []
    for path in files:
        require_within(root, path)
        places += _places_in(root, info, path, names, cameras)
    return sorted(places, key=lambda x: x.number), files


def _places_in(root: Path, info: dict, path: Path, names, cameras: list[str]) -> list[Place]:
    found = read_words(path, names)
    videos = {}
    for key in cameras:
        own = [f"videos/{key}/{x}" for x in ("chunk_index", "file_index", "from_timestamp")]
        try:
            videos |= read_words(path, own)
        except DataError:
            continue  # told when the camera is asked for
    places = []
    for k, (number, rows, chunk, file) in enumerate(zip(*found.values(), strict=True)):
        what = f"{path}: row {k} of"
        number = _count(f"{what} 'episode_index'", number)
        rows = _count(f"{what} 'length'", rows)
        values = {
            "chunk_index": _count(f"{what} 'data/chunk_index'", chunk),
            "file_index": _count(f"{what} 'data/file_index'", file),
        }
        about = {key: x[k] for key, x in videos.items()}
        places.append(Place(number, rows, filled(root, info.get("data_path"), values), about))
    return places


def _require_totals(path: Path, info: dict, places: list[Place]) -> None:
    numbers = [x.number for x in places]
    if not places:
        raise DataError(f"{path}: the folder holds no episode; record some.")
    if twice := next((a for a, b in zip(numbers, numbers[1:], strict=False) if a == b), None):
        raise DataError(f"{path.parent}: episode {twice} is listed twice; {AGAIN}.")
    totals = {"total_episodes": len(places), "total_frames": sum(x.rows for x in places)}
    for key, count in totals.items():
        if info.get(key, count) != count:
            raise DataError(
                f"{path}: '{key}' is {printable(str(info[key]))}, but the episodes listed make "
                f"{count}; {AGAIN}."
            )
