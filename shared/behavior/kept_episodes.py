"""Finished episodes of a recording under way, one file each: a kill costs the last ones only.

The folder says which recording it is of; that of another one (another seed, other package
versions) is emptied.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from shared.behavior.rollout import Episode
from shared.data.files.npz import read_npz
from shared.errors import DataError

_RECORD = "recording.json"


@contextlib.contextmanager
def keeping(folder: Path, recording: dict) -> Iterator[Path]:
    """A folder for the episodes of `recording`, removed when all is done, not on a failure."""
    told = json.dumps(recording, sort_keys=True)
    note = folder / _RECORD
    if not note.exists() or note.read_text() != told:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(told)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def kept(file: Path, play: Callable[[], Episode]) -> Episode:
    """The episode of this file, played now unless it is there and whole."""
    if file.exists():
        with contextlib.suppress(DataError):  # a damaged file is played again
            names = read_npz(file, ()).keys
            found = read_npz(file, names).arrays
            return {key.replace(".", "/"): x for key, x in found.items()}
    episode = play()
    aside = file.with_name(f"{file.stem}.{os.getpid()}.partial")
    with open(aside, "wb") as opened:
        np.savez(opened, **{key.replace("/", "."): x for key, x in episode.items()})
    os.replace(aside, file)
    return episode
