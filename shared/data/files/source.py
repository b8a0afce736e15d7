"""A data set of states in any accepted form, as one list of rows.

    an HDF5 file or an npz archive with D4RL's keys
    a folder of such files: shards or single episodes of one schema, in the order of names
    a Minari data set (`minari_reader`)
    an HDF5 file or npz archive that keeps its episodes apart (`layouts`)
    an npz archive of OGBench (`ogbench`)
    a LeRobot folder, or a YAML that names the columns of one, of tables or demos (`robots`)

V-D4RL's folders have a reader of their own (`vd4rl`); `form_of` tells them apart.
"""

from pathlib import Path

from shared.data.files.folder import episode_files
from shared.data.files.hdf5 import hdf5_keys
from shared.data.files.minari_reader import minari_place, read_minari
from shared.data.files.npz import read_npz
from shared.data.files.one_file import Shift, Source, is_zip, read_file
from shared.data.files.robots.reader import is_robot, read_robot
from shared.data.files.shards import joined
from shared.data.recording.columns import Fault
from shared.data.recording.whole import to_columns as columns_of_episodes
from shared.errors import DataError
from shared.storage.memory import memory_limit

FORMS = ("d4rl", "npz", "minari", "vd4rl")
"""That are written, too."""
ROBOT = "robot"
"""A LeRobot folder or a YAML."""
_FRAME_KEYS = {"image", "is_first", "step_type", "pixels"}
"""Any of these at the root of a file makes it V-D4RL's."""


def form_of(path: Path) -> str:
    """Which of `FORMS` or `ROBOT` a file or folder is of; of HDF5 or npz files also a folder.

    Raises:
        DataError: there is nothing, or nothing that could be data.
    """
    if is_robot(path):
        return ROBOT
    if path.is_dir() and minari_place(path) is not None:
        return "minari"
    file = episode_files(path)[0]
    keys = set(read_npz(file, ()).keys if is_zip(file) else hdf5_keys(file))
    if keys & _FRAME_KEYS and "observations" not in keys:
        return "vd4rl"
    return "npz" if is_zip(file) else "d4rl"


def read_source(path: Path, *, shift: bool = True, used_as: str | None = None) -> Source:
    """Read a data set of states.

    Arguments:
        path: file or folder.
        shift: columns of float64 that are too far from zero for float32 may be shifted; the
            attribute `observation_offset` then says by how much.
        used_as: data set or task that it is used as, if the user says it.

    Raises:
        DataError: it cannot be opened safely, or its parts do not belong together.
    """
    common = Shift(shift)
    if is_robot(path):
        return read_robot(path, shift=shift)
    if not path.is_dir():
        return read_file(path, common, used_as)
    if minari_place(path) is not None:
        return _read_minari(path, shift)
    files = episode_files(path)
    parts, total = [], 0
    for file in files:
        parts.append(read_file(file, common, used_as))
        common.wanted = common.offset is not None  # all files alike, as the first
        total += sum(x.nbytes for x in parts[-1].columns or () if x is not None)
        if total > memory_limit():
            raise DataError(
                f"{path}: its files hold more than the {memory_limit() / 2**30:.1f} GiB that may "
                "be read here; use fewer of them."
            )
    return joined(path, files, parts)


def _read_minari(path: Path, shift: bool) -> Source:
    found = read_minari(path, shift=shift)
    if found.episodes[0].state is None:
        raise DataError(f"{path}: holds no states, only pictures; add an observation of numbers.")
    columns, notes = columns_of_episodes(found.episodes)
    if found.episodes[0].image is not None:
        notes.append("the pictures are left out; training reads the state.")
    faults = [Fault("minari", "warning", sentence) for sentence in (*found.notes, *notes)]
    if len(columns.reward) < 2:
        faults.append(Fault("empty", "error", "there is only one step; record at least two."))
    return Source(found.sha256, None, found.attributes, found.keys, columns, faults)
