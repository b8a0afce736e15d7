"""Films that lie in run folders, small enough to become part of a page."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

from shared.comparison.record import Run

KINDS = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
LARGEST = 2_000_000
"""Bytes of a film that is embedded; a larger one is named with its size."""
MOST = 12_000_000
"""Bytes of all films of a page."""


class Film(NamedTuple):
    """A film of one run; `address` is its content as a data address, empty if it is too large."""

    environment: str
    label: str
    name: str
    number: int
    kind: str
    size: int
    address: str


def films_of(runs: Sequence[Run]) -> list[Film]:
    """The films directly in the folders of pooled runs, by data set."""
    found, total = [], 0
    for number, run in sorted(enumerate(runs), key=lambda pair: pair[1].environment):
        for folder in run.folders:
            for path in sorted(p for p in folder.iterdir() if p.suffix in KINDS and p.is_file()):
                content = path.read_bytes()
                fits = len(content) <= LARGEST and total + len(content) <= MOST
                total += len(content) if fits else 0
                kind = KINDS[path.suffix]
                address = f"data:{kind};base64,{base64.b64encode(content).decode()}" if fits else ""
                what = (run.environment, run.label, path.name, number, kind, len(content))
                found.append(Film(*what, address))
    return found
