"""HDF5 files of demonstrations as robomimic and LIBERO write them, by the names of a YAML.

    data/demo_K/obs/NAME      an observation, (rows, n); pictures (rows, height, width, 3) uint8
    data/demo_K/NAME          actions, rewards, dones, states

A name of the YAML is one of these, with or without `obs/`.  Without a YAML such a file is read by
`shared.data.files.layouts`, which joins all observations in the order of their names.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.data.files.hdf5 import HDF5Contents, read_hdf5
from shared.data.files.robots.layout import Layout
from shared.data.files.robots.recorded import Recording, require_columns
from shared.errors import DataError, printable

ENDINGS = (".hdf5", ".h5")
_EPISODE = re.compile(r"((?:[^/]+/)*?[A-Za-z][A-Za-z_]*?)(\d{1,7})/(.{1,150})")
_PICTURES = re.compile(r"image|rgb|depth|\Aobs/")
"""Not given to a function of rewards, unless they are named."""
_NOTHING = re.compile(r"(?!)")


def read_demos(layout: Layout, wanted: Sequence[str], *, every: bool = False) -> Recording:
    """The wanted arrays of every demonstration, in the order of their numbers.

    Arguments:
        layout: whose data is the file.
        wanted: names of arrays, all of which must be there.
        every: read the other arrays of numbers too.

    Raises:
        DataError: the file is damaged or hostile, holds no demonstrations, or one of them lacks
            what is wanted.
    """
    path = layout.data
    places = _places(path, read_hdf5(path, _NOTHING, many=True))
    first = places[min(places)]
    require_columns(layout.path or path, wanted, list(first))
    if every:
        wanted = [*wanted, *(name for name in first if not _PICTURES.search(name))]
    episodes, labels, found = [], [], _read(path, wanted)
    for number, own in sorted(places.items()):
        label = f"{number[0].rpartition('/')[2]}{number[1]}"
        if missing := [name for name in wanted if name not in own]:
            raise DataError(
                f"{path}: '{printable(label)}' lacks '{printable(missing[0])}' of the first one; "
                "record it, or leave the demonstration out."
            )
        parts = {name: found[own[name]] for name in dict.fromkeys(wanted)}
        if odd := next((k for k, x in parts.items() if not x.ndim or not len(x)), None):
            raise DataError(f"{path}: '{printable(odd)}' of '{printable(label)}' has no rows.")
        episodes.append(parts)
        labels.append(printable(label))
    return Recording("demos", episodes, labels, [path], tuple(first))


def _read(path: Path, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    ends = "|".join(re.escape(name.removeprefix("obs/")) for name in wanted)
    pattern = re.compile(rf"(?=.{{1,200}}\Z)(?:.*/)?[A-Za-z]\w*?\d{{1,7}}/(?:obs/)?(?:{ends})")
    return read_hdf5(path, pattern, many=True).arrays


def _places(path: Path, contents: HDF5Contents) -> dict[tuple[str, int], dict[str, str]]:
    """Group and number of an episode -> name of an array -> key of the file."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for key in contents.keys:
        if match := _EPISODE.fullmatch(key):
            own = found.setdefault((match[1], int(match[2])), {})
            own[match[3].removeprefix("obs/")] = key
            own.setdefault(match[3], key)
    if not found:
        raise DataError(
            f"{path}: holds no demonstrations (data/demo_0/...); a YAML names the columns of such "
            "files, of tables and of LeRobot folders."
        )
    return found
