"""Policy files as archives without compression, every part sealed by its SHA-256."""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from shared.errors import ExportError

MANIFEST = "manifest.json"


def digest(part: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(part).hexdigest()


def write_zip(path: Path, parts: dict[str, bytes]) -> None:
    """An archive without dates: the same parts are the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, part in parts.items():
            file.writestr(zipfile.ZipInfo(name), part)


def read_zip(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and other parts.

    Raises:
        ExportError: cut short, damaged, or no policy file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        manifest = json.loads(parts.pop(MANIFEST))
        digests = manifest["sha256"]
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, TypeError, ValueError) as error:
        raise ExportError(f"{path}: is damaged, or no policy file; export it again.") from error
    for name in sorted({*digests, *parts}):
        if digest(parts.get(name, b"")) != digests.get(name):
            raise ExportError(f"{path}: {name} is not what its SHA-256 says; export it again.")
    return manifest, parts
