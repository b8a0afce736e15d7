"""Downloads official files: several mirrors, resumable, checked, once for all processes.

`<data dir>/official/<path>` appears only when complete: bytes go to
`<file>.part`, a later call continues there, and a lock lets concurrent
processes wait for the one that downloads.  The SHA-256 is compared with the
catalog's where that is known, and noted beside the file in any case.

The server has been away for weeks at a time, so no call hangs (`network.py`).
`LATENT_POLICIES_OFFLINE=1` forbids any connection; `LATENT_POLICIES_MIRROR`
names a mirror of your own, tried first.
"""

import errno
import http.client
import os
import shutil
import urllib.error
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from shared.data.catalog import Entry
from shared.data.checksum import sha256_of, write_note
from shared.data.locks import exclusive
from shared.data.network import network_reason, open_address
from shared.data.signature import require_hdf5
from shared.data.vd4rl_sets import advice
from shared.errors import DataError

Progress = Callable[[int, int | None], None]

D4RL_SERVER = "https://rail.eecs.berkeley.edu/datasets/offline_rl"
LOCOMOTION_MIRROR = "https://huggingface.co/datasets/imone/D4RL/resolve/main"
"""A public copy of the `gym_mujoco_v2` folder, without the folder's name."""
ATTEMPTS = 4
_BLOCK = 1 << 18


class Unreachable(DataError):
    """No mirror could deliver the file; the sentence says what to do next."""


def is_offline() -> bool:
    """Does the environment forbid connections?"""
    return os.environ.get("LATENT_POLICIES_OFFLINE", "0") not in ("", "0")


def official_path(entry: Entry, data_dir: Path) -> Path:
    """Where the official file of a data set lives in the cache."""
    return data_dir / "official" / entry.file


def addresses(entry: Entry) -> tuple[str, ...]:
    """Every address of an official file, in the order of trying."""
    found = [f"{D4RL_SERVER}/{entry.file}"]
    if entry.suite == "gym-mujoco":
        found.append(f"{LOCOMOTION_MIRROR}/{entry.file.rpartition('/')[2]}")
    if own := os.environ.get("LATENT_POLICIES_MIRROR"):
        found.insert(0, f"{own.rstrip('/')}/{entry.file}")
    return tuple(found)


def fetch(entry: Entry, data_dir: Path, *, progress: Progress | None = None) -> Path:
    """The official file of a data set, downloaded if it is not in the cache.

    Arguments:
        entry: the data set.
        data_dir: root of the cache.
        progress: called with (bytes so far, bytes in total or None).

    Raises:
        Unreachable: offline, or no mirror delivered the right bytes, or V-D4RL's folder is
            not there (it is fetched with its publisher's tools).
        DataError: the disk is full or not writable.
    """
    path = official_path(entry, data_dir)
    if path.exists():
        return path
    if entry.suite == "vd4rl":
        raise Unreachable(advice(entry, path))
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


def _download_any(entry: Entry, path: Path, progress: Progress | None) -> None:
    reasons = []
    for address in addresses(entry):
        part = path.with_name(path.name + ".part")
        reason = _download(address, part, progress) or _wrong_bytes(entry, part)
        if reason is None:
            write_note(part, sha256_of(part), name=path.name)
            os.replace(part, path)
            _origin(part).unlink(missing_ok=True)
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
        require_hdf5(part)
        digest = sha256_of(part)
        if entry.sha256 is None or digest == entry.sha256:
            return None
        reason = f"sent other bytes (SHA-256 {digest[:12]}..., not {entry.sha256[:12]}...)"
    except DataError as error:
        reason = "sent a file that" + str(error).removeprefix(f"{part}:").partition(";")[0]
    part.unlink()
    return reason.rstrip(".")


def _download(address: str, part: Path, progress: Progress | None) -> str | None:
    """Bring `part` to its full length; returns why that failed, or None."""
    reason = None
    for _ in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            if _transfer(address, part, progress):
                return None
            reason = "broke off in the middle, run the command again to resume"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416:
                return f"HTTP {error.code}"
            reason = "no longer has the rest of the file"
            part.unlink()  # start over
            continue
        except (http.client.HTTPException, urllib.error.URLError) as error:
            reason = network_reason(error)
        if not part.exists() or part.stat().st_size <= before:
            break  # no progress: another try would be the same
    return reason


def _transfer(address: str, part: Path, progress: Progress | None) -> bool:
    """One request, continuing `part` if it came from this address; is the file complete?"""
    held, tag = _held(address, part)
    headers = {"Range": f"bytes={held}-", "If-Range": tag} if held else {}
    with open_address(address, headers) as response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        resumed = resumed and response.status == 206
        done = held if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        if total is not None and total - done > shutil.disk_usage(part.parent).free:
            raise OSError(errno.ENOSPC, f"no space for {total - done:,} bytes")
        _origin(part).write_text(f"{address}\n{_version(response.headers)}\n")
        with open(part, "ab" if resumed else "wb") as file:
            while block := _read(response):
                file.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    return total is None or done == total


def _read(response) -> bytes:
    try:
        return response.read(_BLOCK)
    except OSError as error:  # keep apart from errors of the disk
        raise urllib.error.URLError(error) from error


def _version(headers) -> str:
    """What names this version of the file to its server; empty if nothing does."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _origin(part: Path) -> Path:
    """Remembers which address and version `<file>.part` came from."""
    return part.with_name(part.name + ".from")


def _held(address: str, part: Path) -> tuple[int, str]:
    """How many bytes of this very file are here already, and its version."""
    if not part.exists() or not _origin(part).exists():
        return 0, ""
    origin, version, *_ = [*_origin(part).read_text().split("\n"), "", ""]
    return (part.stat().st_size, version) if origin == address and version else (0, "")
