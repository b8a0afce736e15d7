"""Brings one file to its full length over an unreliable network.

Bytes go to `<file>.part`; what was transferred before is continued if the server says
that it still has the same version, and thrown away if not.  No call hangs (`network`).
"""

import errno
import http.client
import os
import shutil
import urllib.error
from collections.abc import Callable
from pathlib import Path

from shared.loading.network import network_reason, open_address

Progress = Callable[[int, int | None], None]
"""Called with (bytes so far, bytes in total or None)."""
ATTEMPTS = 4
_BLOCK = 1 << 18


def download(address: str, part: Path, progress: Progress | None) -> str | None:
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
        origin_of(part).write_text(f"{address}\n{_version(response.headers)}\n")
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


def origin_of(part: Path) -> Path:
    """Remembers which address and version `<file>.part` came from."""
    return part.with_name(part.name + ".from")


def _held(address: str, part: Path) -> tuple[int, str]:
    """How many bytes of this very file are here already, and its version."""
    if not part.exists() or not origin_of(part).exists():
        return 0, ""
    origin, version, *_ = [*origin_of(part).read_text().split("\n"), "", ""]
    return (part.stat().st_size, version) if origin == address and version else (0, "")
