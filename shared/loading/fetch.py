"""Downloads official files: several mirrors, resumable, checked, once for all processes.

`<data dir>/official/<path>` appears only when complete: bytes go to
`<file>.part`, a later call continues there, and a lock lets concurrent
processes wait for the one that downloads.  The SHA-256 is compared with the
catalog's where that is known, and noted beside the file in any case.

The server has been away for weeks at a time, so no call hangs (`network.py`).  V-D4RL's
folders are fetched file by file (`fetch_folder.py`).
`LATENT_POLICIES_OFFLINE=1` forbids any connection; `LATENT_POLICIES_MIRROR`
names a mirror of your own, tried first.
"""

import contextlib
import os
import time
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from shared.data.catalog import Entry
from shared.data.files.ogbench import require_ogbench
from shared.data.files.signature import require_hdf5
from shared.errors import DataError
from shared.loading.fetch_folder import Unreachable, fetch_folder, is_offline
from shared.loading.places import official_path
from shared.loading.transfer import Progress, download, origin_of
from shared.storage.checksum import sha256_of, write_note
from shared.storage.locks import exclusive

RETRY_SECONDS = 600.0
"""After a failed download the mirrors are left alone for this long."""
D4RL_SERVER = "https://rail.eecs.berkeley.edu/datasets/offline_rl"
OGBENCH_SERVER = "https://rail.eecs.berkeley.edu/datasets"
"""What its package downloads from; the folder `ogbench` is part of the file's path."""
LOCOMOTION_MIRROR = "https://huggingface.co/datasets/imone/D4RL/resolve/main"
"""A public copy of the `gym_mujoco_v2` folder, without the folder's name."""


def addresses(entry: Entry) -> tuple[str, ...]:
    """Every address of an official file, in the order of trying."""
    server = OGBENCH_SERVER if entry.suite == "ogbench" else D4RL_SERVER
    found = [f"{server}/{entry.file}"] if entry.is_ours else []
    if entry.address:
        found.append(entry.address)
    if entry.suite == "gym-mujoco":
        found.append(f"{LOCOMOTION_MIRROR}/{entry.file.rpartition('/')[2]}")
    own = os.environ.get("LATENT_POLICIES_MIRROR")
    if own and not Path(entry.file).is_absolute():
        found.insert(0, f"{own.rstrip('/')}/{entry.file}")
    return tuple(found)


def fetch(
    entry: Entry, data_dir: Path, *, size: int = 64, progress: Progress | None = None
) -> Path:
    """The official file of a data set, downloaded if it is not in the cache.

    Arguments:
        entry: the data set.
        data_dir: root of the cache.
        size: pixels of a frame of V-D4RL's folders.
        progress: called with (bytes so far, bytes in total or None).

    Raises:
        Unreachable: offline, or no mirror delivered the right bytes.
        DataError: the disk is full or not writable.
    """
    if entry.suite == "vd4rl":
        return fetch_folder(entry, data_dir, size=size, progress=progress)
    path = official_path(entry, data_dir)
    if path.exists():
        return path
    if is_offline():
        raise Unreachable(_advice(entry, path, ["LATENT_POLICIES_OFFLINE is set"]))
    try:
        with exclusive(path):
            if not path.exists():  # another process may have finished meanwhile
                _download_any(entry, path, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{path}: cannot be written ({reason}); free some space or set another --data-dir."
        ) from error
    return path


def fetch_unless_recent(
    entry: Entry,
    data_dir: Path,
    insist: bool,
    progress: Callable[[str, int, int | None], None] | None,
) -> Path:
    """`fetch`, but a failure of the last minutes is remembered, unless the user insists.

    Raises:
        Unreachable: now, or a moment ago.
    """
    path = official_path(entry, data_dir)
    stamp = path.with_name(path.name + ".unreachable")
    if not insist and not path.exists():
        with contextlib.suppress(OSError):  # there was no failure yet
            if abs(time.time() - stamp.stat().st_mtime) < RETRY_SECONDS:
                raise Unreachable(stamp.read_text())
    tell = None if progress is None else partial(progress, "download")
    try:
        fetch(entry, data_dir, progress=tell)
    except Unreachable as error:
        if not is_offline():
            with contextlib.suppress(OSError):  # a read-only cache only loses the memory
                stamp.write_text(str(error))
        raise
    return path


def _download_any(entry: Entry, path: Path, progress: Progress | None) -> None:
    reasons = [] if addresses(entry) else ["no address of it is known"]
    for address in addresses(entry):
        part = path.with_name(path.name + ".part")
        reason = download(address, part, progress) or _wrong_bytes(entry, part)
        if reason is None:
            write_note(part, sha256_of(part), name=path.name)
            os.replace(part, path)
            origin_of(part).unlink(missing_ok=True)
            return
        reasons.append(f"{urllib.parse.urlsplit(address).hostname}: {reason}")
    raise Unreachable(_advice(entry, path, reasons))


def _advice(entry: Entry, path: Path, reasons: list[str]) -> str:
    return (
        f"{path.name} ('{entry.name}') is out of reach ({'; '.join(reasons)}); try again later, "
        f"put the file at {path} yourself, or name your own with --data."
    )


def _wrong_bytes(entry: Entry, part: Path) -> str | None:
    """Why the downloaded bytes are not the file; they are deleted then."""
    try:
        if entry.suite == "ogbench":
            require_ogbench(part)
        elif not entry.file.endswith(".npz"):
            require_hdf5(part)
        digest = sha256_of(part)
        if entry.sha256 is None or digest == entry.sha256:
            return None
        reason = f"sent other bytes (SHA-256 {digest[:12]}..., not {entry.sha256[:12]}...)"
    except DataError as error:
        reason = "sent a file that" + str(error).removeprefix(f"{part}:").partition(";")[0]
    part.unlink()
    return reason.rstrip(".")
