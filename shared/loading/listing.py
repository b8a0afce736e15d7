"""What a published folder holds: its files are listed by the server, not known beforehand.

A mirror is a plain web server with the folders of this cache; it lists one in the file
`SHA256SUMS` beside the episodes, in the form of `sha256sum`.  The public mirror is a
data set on Hugging Face, whose tree interface gives names, sizes and, for the files that
it keeps in large-file storage, SHA-256 (as `lfs.oid`), a thousand a page.

Names come from a server, so they are checked: plain file names of V-D4RL's two kinds.
"""

import json
import re
import urllib.error
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.errors import printable
from shared.loading.network import open_address

SUMS = "SHA256SUMS"
MAXIMUM_FILES, MAXIMUM_BYTES, MAXIMUM_PAGES = 100_000, 1 << 25, 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,200}\.(npz|hdf5)")
_NOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,200}\.(json|md)")


class ListedFile(NamedTuple):
    """A file to fetch; size in bytes and digest are None where the listing does not tell them."""

    name: str
    address: str
    size: int | None
    sha256: str | None


class Hub(NamedTuple):
    """A data set of Hugging Face: where it is, and the folder in it that is the mirror's root."""

    endpoint: str
    dataset: str

    def tree(self, folder: str) -> str:
        """The address that lists a folder."""
        return f"{self.endpoint}/api/datasets/{self.dataset}/tree/main/{folder}"

    def file(self, path: str) -> str:
        """The address of a file."""
        return f"{self.endpoint}/datasets/{self.dataset}/resolve/main/{urllib.parse.quote(path)}"


class BadListing(Exception):
    """A server's listing cannot be used; the message says why in a few words."""


def list_mirror(root: str, folder: str) -> list[ListedFile]:
    """The files of a folder on a plain mirror, in the order of their names.

    Raises:
        BadListing: the list is no list, or names what is no file of a folder.
        urllib.error.URLError: the server does not answer, or not well.
    """
    base = f"{root.rstrip('/')}/{urllib.parse.quote(folder)}"
    return read_sums(_read(f"{base}/{SUMS}")[0], base)


def read_sums(text: str, base: str) -> list[ListedFile]:
    """The files of a list as `sha256sum` writes it; their addresses begin with `base`.

    Cards and notes that it names beside them are left out: nothing loads those.

    Raises:
        BadListing: as of `list_mirror`.
    """
    found = []
    for line in filter(None, text.splitlines()):
        match = re.fullmatch(r"([0-9a-fA-F]{64})[ *]+(?:\./)?(\S+)", line)
        if match is None:
            raise BadListing(f"sent no list of SHA-256 in {SUMS}")
        name = match[2]
        if _NOTE.fullmatch(name):
            continue
        found.append(ListedFile(name, f"{base}/{urllib.parse.quote(name)}", None, match[1].lower()))
    return _checked(found)


def list_hub(hub: Hub, folder: str) -> list[ListedFile]:
    """The files of a folder of a Hugging Face data set, in the order of their names.

    Raises:
        BadListing: the answer is of another form, or names what is no file of the folder.
        urllib.error.URLError: the server does not answer, or not well.
    """
    found = []
    for entry in _pages(hub.tree(urllib.parse.quote(folder))):
        path, kind = entry.get("path"), entry.get("type")
        if not isinstance(path, str) or not path.startswith(f"{folder}/"):
            raise BadListing("listed a file of another folder")
        if kind != "file" or not path.endswith((".npz", ".hdf5")):
            continue  # notes and folders beside the episodes
        stored = entry.get("lfs")
        digest = stored.get("oid") if isinstance(stored, dict) else None
        if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", str(digest)):
            raise BadListing("listed something else than SHA-256")
        size = entry.get("size")
        size = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
        name = path.removeprefix(f"{folder}/")
        found.append(ListedFile(name, hub.file(path), size, digest))
    return _checked(found)


def _pages(address: str) -> Iterator[dict[str, Any]]:
    """The entries of all pages; the next one's address comes in the header `Link`."""
    host = urllib.parse.urlsplit(address)[:2]
    for _ in range(MAXIMUM_PAGES):
        text, link = _read(address)
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadListing("sent no list of files") from error
        if not isinstance(entries, list) or not all(isinstance(x, dict) for x in entries):
            raise BadListing("sent no list of files")
        yield from entries
        following = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', link)
        if following is None:
            return
        address = urllib.parse.urljoin(address, following[1])
        if urllib.parse.urlsplit(address)[:2] != host:
            raise BadListing("continues its list on another server")
    raise BadListing("sent an endless list")


def _read(address: str) -> tuple[str, str]:
    with open_address(address, {}) as response:
        try:
            text = response.read(MAXIMUM_BYTES + 1)
        except OSError as error:  # keep apart from errors of the disk
            raise urllib.error.URLError(error) from error
        if len(text) > MAXIMUM_BYTES:
            raise BadListing("sent an endless list")
        return text.decode("utf-8", "replace"), response.headers.get("Link", "")


def _checked(found: list[ListedFile]) -> list[ListedFile]:
    for file in found:
        if not _NAME.fullmatch(file.name):
            raise BadListing(f"listed '{printable(file.name)}', which is no episode's name")
    kinds = {file.name.rpartition(".")[2] for file in found}
    if not found or len(found) > MAXIMUM_FILES:
        raise BadListing(f"listed {len(found)} files")
    if len(kinds) > 1 or len({file.name for file in found}) < len(found):
        raise BadListing("listed two kinds of files, or one of them twice")
    return sorted(found)
