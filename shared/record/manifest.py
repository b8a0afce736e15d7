"""A SHA-256 manifest that seals a folder of files.

Most single flipped bits in an array file load without complaint, so every
file is compared with its recorded hash before anything else reads it.

    manifest.json     format, what the writer noted, hash and size of every file
    manifest.sha256   the hash of manifest.json, in the form `sha256sum -c` reads
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from shared.errors import RunError
from shared.storage.durable import plain

FORMAT = 1
_MANIFEST = "manifest.json"
_SEAL = "manifest.sha256"


def _hash(path: Path) -> str:
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _seal(manifest: bytes) -> bytes:
    return f"{hashlib.sha256(manifest).hexdigest()}  {_MANIFEST}\n".encode()


def write_manifest(folder: Path, notes: dict[str, Any]) -> None:
    """Record `notes` and the hash and size of every file below `folder`."""
    files = {
        path.relative_to(folder).as_posix(): {"sha256": _hash(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    content = {"format": FORMAT, **plain(notes), "files": files}
    manifest = (json.dumps(content, indent=1) + "\n").encode()
    (folder / _MANIFEST).write_bytes(manifest)
    (folder / _SEAL).write_bytes(_seal(manifest))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The notes of a sealed folder; its other files are not looked at.

    Raises:
        RunError: the manifest or its seal is missing, damaged or of another format.
    """
    for path in (folder / _MANIFEST, folder / _SEAL):
        if not path.is_file():
            raise RunError(f"{path} is missing")
    manifest = (folder / _MANIFEST).read_bytes()
    if (folder / _SEAL).read_bytes() != _seal(manifest):
        raise RunError(f"{folder / _MANIFEST} does not match its SHA-256 in {_SEAL}")
    content = json.loads(manifest)
    if content["format"] != FORMAT:
        raise RunError(
            f"{folder / _MANIFEST} has format {content['format']}, this version reads {FORMAT}"
        )
    return content


def verify(folder: Path) -> dict[str, Any]:
    """The notes of a sealed folder, after comparing every file with its hash.

    Raises:
        RunError: names the first file that is missing, cut short or damaged.
    """
    content = read_manifest(folder)
    for name, recorded in content["files"].items():
        path = folder / name
        if not path.is_file():
            raise RunError(f"{path} is missing")
        if (size := path.stat().st_size) != recorded["bytes"]:
            raise RunError(f"{path} has {size} bytes instead of {recorded['bytes']}")
        if _hash(path) != recorded["sha256"]:
            raise RunError(f"{path} does not match its SHA-256")
    return content
