"""A folder of data files: which, in which order, and their common digest."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.errors import DataError
from shared.storage.checksum import verified_sha256

_READERS = 4


def episode_files(path: Path) -> list[Path]:
    """The files of a folder in the order of their names; links out of it are refused.

    Raises:
        DataError: there are none, or both layouts are mixed.
    """
    if not path.exists():
        raise DataError(f"{path}: does not exist; name a data file or a folder of episodes.")
    if not path.is_dir():
        return [path]
    files = sorted(x for x in path.iterdir() if x.suffix in (".npz", ".hdf5", ".h5"))
    kinds = {x.suffix == ".npz" for x in files}
    if not files and any(x.suffix in (".csv", ".parquet") for x in path.iterdir()):
        raise DataError(
            f"{path}: holds tables; write a small YAML that names their columns, see "
            "docs/your-data.md."
        )
    if not files:
        raise DataError(
            f"{path}: holds no .npz or .hdf5 files; name a file, or the folder with the episodes."
        )
    if len(kinds) > 1:
        raise DataError(f"{path}: mixes .npz and .hdf5 files; keep one of the two layouts.")
    for file in files:
        require_inside(path, file)
    return files


def require_inside(folder: Path, file: Path) -> None:
    """Refuse a link that leads out of a data set."""
    if folder.resolve() not in file.resolve().parents:
        raise DataError(f"{file}: is a link out of the data set; copy the file itself.")


def digest_of(files: list[Path]) -> str:
    """SHA-256 over the names and SHA-256 of all files; a digest noted beside one must agree."""
    total = hashlib.sha256()
    with ThreadPoolExecutor(_READERS) as pool:
        for file, (digest, _) in zip(files, pool.map(verified_sha256, files), strict=True):
            total.update(f"{digest}  {file.name}\n".encode())
    return total.hexdigest()
