"""Downloads V-D4RL's folders: listed by the server, resumable, checked, once for all processes.

`<data dir>/official/vd4rl/.../64px` appears only when every file of the listing is
there; until then files gather in `64px.part`, and a later call fetches what is missing.
Each file is compared with the SHA-256 of the listing, where that tells it, else with its
size.  What was received is noted in `SHA256SUMS`, so the folder is a mirror itself: any
web server that serves `official` will do.
"""

import errno
import http.client
import os
import shutil
import time
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.data.catalog import Entry
from shared.errors import DataError
from shared.loading.listing import SUMS, BadListing, Hub, ListedFile, list_hub, list_mirror
from shared.loading.network import network_reason
from shared.loading.places import MIRROR, official_path
from shared.loading.transfer import Progress, download, origin_of
from shared.storage.checksum import sha256_of
from shared.storage.locks import exclusive

HUB = Hub("https://huggingface.co", "conglu/vd4rl")
TRIES, PAUSE_SECONDS = 3, 1.0
"""One refusal among hundreds of files is not the end; the pause doubles each time."""


class Unreachable(DataError):
    """No mirror could deliver the data; the sentence says what to do next."""


def is_offline() -> bool:
    """Does the environment forbid connections?"""
    return os.environ.get("LATENT_POLICIES_OFFLINE", "0") not in ("", "0")


def fetch_folder(
    entry: Entry, data_dir: Path, *, size: int = 64, progress: Progress | None = None
) -> Path:
    """The official folder of a V-D4RL set, downloaded if it is not in the cache.

    Arguments:
        entry: of the suite `vd4rl`.
        data_dir: root of the cache.
        size: pixels of a frame, 64 or 84.
        progress: called with (bytes so far, bytes in total or None).

    Raises:
        Unreachable: offline, or no mirror delivered all files.
        DataError: the disk is full or not writable.
    """
    folder = official_path(entry, data_dir, size)
    if folder.is_dir():
        return folder
    if is_offline():
        raise Unreachable(_advice(entry, folder, data_dir, ["LATENT_POLICIES_OFFLINE is set"]))
    try:
        with exclusive(folder):
            if not folder.is_dir():  # another process may have finished meanwhile
                _download_any(entry, folder, data_dir, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{folder}: cannot be written ({reason}); free some space or set another --data-dir."
        ) from error
    return folder


def _mirrors(folder: str) -> Iterator[tuple[str, Callable[[], list[ListedFile]]]]:
    """Host and listing of every mirror, in the order of trying."""
    if own := os.environ.get("LATENT_POLICIES_MIRROR"):
        yield own, lambda: list_mirror(own, folder)
    yield HUB.endpoint, lambda: list_hub(HUB, folder)


def _download_any(entry: Entry, folder: Path, data_dir: Path, progress: Progress | None) -> None:
    part, reasons = folder.with_name(f"{folder.name}.part"), []
    for address, listing in _mirrors(_path_on_server(folder, data_dir)):
        try:
            files = listing()
            reason = _download_all(files, part, progress)
        except BadListing as error:
            reason = str(error)
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"HTTP {error.code}"
        except (http.client.HTTPException, urllib.error.URLError) as error:
            reason = network_reason(error)
        if reason is None:
            _finish(part, folder, files)
            return
        reasons.append(f"{urllib.parse.urlsplit(address).hostname}: {reason}")
    raise Unreachable(_advice(entry, folder, data_dir, reasons))


def _path_on_server(folder: Path, data_dir: Path) -> str:
    return folder.relative_to(data_dir / "official").as_posix()


def _advice(entry: Entry, folder: Path, data_dir: Path, reasons: list[str]) -> str:
    return (
        f"the folder of '{entry.name}' is out of reach ({'; '.join(reasons)}); run 'data fetch "
        f"{entry.name}' again later, which resumes, or get {_path_on_server(folder, data_dir)} "
        f"from {MIRROR} and put it there ({folder}), or name your own with --data."
    )


def _download_all(files: list[ListedFile], part: Path, progress: Progress | None) -> str | None:
    """Bring every file into the folder; returns why that failed, or None."""
    part.mkdir(parents=True, exist_ok=True)
    sizes = [file.size for file in files]
    total = None if None in sizes else sum(filter(None, sizes))
    missing, held = [], 0
    for file in files:
        if _is_there(file, part / file.name):
            held += (part / file.name).stat().st_size
        else:
            missing.append(file)
    needed = sum(file.size or 0 for file in missing)
    if needed > shutil.disk_usage(part).free:
        raise OSError(errno.ENOSPC, f"no space for {needed:,} bytes")
    for file in missing:
        before = held

        def tell(done: int, _: int | None, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        if reason := _download_one(file, part / file.name, tell):
            return f"{file.name} {reason}"
        held += (part / file.name).stat().st_size
    return None


def _download_one(file: ListedFile, path: Path, progress: Progress) -> str | None:
    """One file with several tries; it gets its name when its bytes are the right ones."""
    part, reason = path.with_name(f"{path.name}.part"), None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        reason = download(file.address, part, progress)
        if reason is None and _is_there(file, part):
            os.replace(part, path)
            origin_of(part).unlink(missing_ok=True)
            return None
        if reason is None:
            reason = "has other bytes than it should"
            part.unlink()
        if reason in ("HTTP 404", "HTTP 401", "HTTP 403"):
            break
    return reason


def _is_there(file: ListedFile, path: Path) -> bool:
    """Is this the whole file, as far as the listing tells?"""
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return False
    return file.sha256 is None or sha256_of(path) == file.sha256


def _finish(part: Path, folder: Path, files: list[ListedFile]) -> None:
    """Note the digests, drop what is no longer listed, and give the folder its name."""
    names = {file.name for file in files}
    for path in part.iterdir():
        if path.name not in names:
            path.unlink()
    lines = [f"{file.sha256 or sha256_of(part / file.name)}  {file.name}\n" for file in files]
    (part / SUMS).write_text("".join(lines))
    os.replace(part, folder)
