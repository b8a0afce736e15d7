"""The table of data sets: name -> official file, rows, and the task that it is of.

Names are D4RL's without the version suffix (`hopper-medium`); the suffix of
the file that is read (`hopper-medium-v2`) is accepted too and taken off at the door
(`canonical_name`), any other version is refused, because it holds other data.
V-D4RL's names are its folders' (`walker_walk-medium_expert`); they have no versions,
and a score is a tenth of the return.  OGBench's name a file and one of its five tasks
(`shared/environments/ogbench_names.py`); the table lists the default tasks, `lookup` knows all.

Another package adds its own by an entry point, whose name is that of the object:

    [project.entry-points."latent_policies.datasets"]
    my-robot-logs = "my_package.robots:LOGS"  # an `Entry`

Source of the paths: D4RL (Fu et al., 2020), Apache-2.0;
V-D4RL (Lu et al., 2022), MIT; OGBench (Park et al., 2025), MIT.
SHA-256 values are given where independent public records of the file agree.
"""

import functools
import re
from dataclasses import dataclass

from shared.entry_points import registered
from shared.environments import ogbench_names
from shared.environments.open_tasks import KINDS, task_part
from shared.environments.tasks import ENVIRONMENTS, Environment, environments, find_task, nearest
from shared.errors import ConfigError, DataError

SUITES = ("gym-mujoco", "maze2d", "antmaze", "adroit", "kitchen", "vd4rl", "ogbench")


@dataclass(frozen=True)
class Entry:
    """One data set.

    Attributes:
        suite: one of `SUITES`; another package's sets have a suite of their own.
        file: path of the official file (V-D4RL: folder) below a mirror's root; of another
            package's set, an absolute path is a file or folder on this machine.
        version: suffix of D4RL's (or OGBench's) name for this file; empty in V-D4RL.
        rows: about how many rows the official file has.
        sha256: digest of the official file; None where it is not known.
        address: where the file of another package's set can be downloaded, if anywhere.
    """

    name: str
    suite: str
    file: str
    version: str
    environment: Environment
    rows: int
    sha256: str | None = None
    address: str = ""

    @property
    def is_ours(self) -> bool:
        """Is it of the table on this page, not of another package?"""
        return self.suite in SUITES

    @property
    def benchmark(self) -> str:
        """Whose it is; a collected set is never called so."""
        return {"vd4rl": "V-D4RL", "ogbench": "OGBench"}.get(self.suite, "D4RL")

    @property
    def recording(self) -> str:
        """What is recorded where its file is out of reach; one for all tasks of a file."""
        of_ogbench = ogbench_names.parse(self.name) if self.suite == "ogbench" else None
        return self.name if of_ogbench is None else of_ogbench.file

    @property
    def is_recorded(self) -> bool:
        """Is it a set that only this project's own policies can record?"""
        return self.suite in KINDS


OPEN_ROWS = 100_000
"""Of a set that is recorded of a task which goes by its own package's name (`open_tasks`)."""
QUALITIES = ("random", "medium", "medium-replay", "full-replay", "medium-expert", "expert")
VD4RL_QUALITIES = ("random", "medium_replay", "medium", "medium_expert", "expert")
_REPLAY_ROWS = {"hopper": 402_000, "halfcheetah": 202_000, "walker2d": 302_000}
_SHA256 = {
    "hopper-medium": "5bdf1bc4a713c82941de44633df669b36c89850b652a25985166796d25cf71a0",
    "hopper-medium-replay": "e121c5f7c9857a307baa9edc6a2c3b48e85fedb9ac316ecddd0f48ca7ef4e39b",
    "halfcheetah-medium": "41324e8487a9556d8cfa4538827f8937f4d63dae3030825ebc9f3a726ed08ca0",
    "halfcheetah-medium-replay": "48d494a4770c11f48260736dec090b78bdca8375647ed4d24bfa5b6610c7f683",
    "walker2d-medium": "cf00f43add04c17fdfc2958dd581dea0851b2e5bedbe6fda073758a8f841aeda",
}
_ANTMAZE = {  # file name: (maze, several starts, several goals)
    "antmaze-umaze": ("u-maze", False, False),
    "antmaze-umaze-diverse": ("u-maze", True, True),
    "antmaze-medium-play": ("big-maze", True, False),
    "antmaze-medium-diverse": ("big-maze", True, True),
    "antmaze-large-play": ("hardest-maze", True, False),
    "antmaze-large-diverse": ("hardest-maze", True, True),
}
_KITCHEN = {
    "kitchen-complete": ("mini_kitchen_microwave_kettle_light_slider-v0", 3_680),
    "kitchen-partial": ("kitchen_microwave_kettle_light_slider-v0", 136_950),
    "kitchen-mixed": ("kitchen_microwave_kettle_bottomburner_light-v0", 136_950),
}
_ADROIT_ROWS = {"human": 6_700, "cloned": 1_000_000, "expert": 1_000_000}


def _locomotion():
    for environment in ("hopper", "halfcheetah", "walker2d"):
        for quality in QUALITIES:
            name = f"{environment}-{quality}"
            file = f"gym_mujoco_v2/{environment}_{quality.replace('-', '_')}-v2.hdf5"
            rows = {"medium-expert": 2_000_000, "medium-replay": _REPLAY_ROWS[environment]}
            yield Entry(
                name,
                "gym-mujoco",
                file,
                "v2",
                ENVIRONMENTS[environment],
                rows.get(quality, 1_000_000),
                _SHA256.get(name),
            )


def _others():
    for size, rows in (("umaze", 1_000_000), ("medium", 2_000_000), ("large", 4_000_000)):
        for reward in ("sparse", "dense"):
            name = f"maze2d-{size}" + ("-dense" if reward == "dense" else "")
            file = f"maze2d/maze2d-{size}-{reward}-v1.hdf5"
            yield Entry(name, "maze2d", file, "v1", ENVIRONMENTS[name], rows)
    for name, (maze, starts, goals) in _ANTMAZE.items():
        file = f"Ant_maze_{maze}_noisy_multistart_{starts}_multigoal_{goals}_sparse_fixed.hdf5"
        environment = ENVIRONMENTS["-".join(name.split("-")[:2])]
        yield Entry(name, "antmaze", f"ant_maze_v2/{file}", "v2", environment, 1_000_000)
    for task in ("pen", "hammer", "door", "relocate"):
        for quality, rows in _ADROIT_ROWS.items():
            name = f"{task}-{quality}"
            file = f"hand_dapg_v1/{name}-v1.hdf5"
            yield Entry(name, "adroit", file, "v1", ENVIRONMENTS[task], rows)
    for name, (file, rows) in _KITCHEN.items():
        environment = ENVIRONMENTS.get(name, ENVIRONMENTS["kitchen"])
        yield Entry(name, "kitchen", f"kitchen/{file}.hdf5", "v0", environment, rows)


def _vd4rl():
    for environment in ("walker_walk", "cheetah_run", "humanoid_walk"):
        for quality in VD4RL_QUALITIES:
            name = f"{environment}-{quality}"
            twice = quality == "medium_expert" or name == "cheetah_run-medium_replay"
            folder = f"vd4rl/main/{environment}/{quality}/64px"
            rows = 200_000 if twice else 100_000
            yield Entry(name, "vd4rl", folder, "", ENVIRONMENTS[environment], rows)


def _of_ogbench(name: ogbench_names.Name) -> Entry:
    """The entry of a file and one of its tasks; rows as they are stored."""
    episodes, length = ogbench_names.FILES[name.file]
    task, file = find_task(str(name)), f"ogbench/{name.file}-v0.npz"
    assert task is not None
    return Entry(str(name), "ogbench", file, "v0", task, episodes * length)


def _ogbench():
    yield from (
        _of_ogbench(name) for name in map(ogbench_names.parse, ogbench_names.LISTED) if name
    )


CATALOG: dict[str, Entry] = {
    entry.name: entry for entry in (*_locomotion(), *_others(), *_vd4rl(), *_ogbench())
}


@functools.cache
def datasets() -> dict[str, Entry]:
    """Every data set by name: those of this page and those of installed packages.

    Raises:
        ConfigError: an entry point is broken, hides another name, or needs a task that
            nobody registers.
    """
    tasks = environments()
    found = registered("latent_policies.datasets", "data set", CATALOG, Entry)
    for entry in found.values():
        if entry.is_ours:
            raise ConfigError(f"data set '{entry.name}': suite '{entry.suite}' is ours; rename it.")
        if tasks.get(entry.environment.name) != entry.environment:
            raise ConfigError(
                f"data set '{entry.name}' is of the environment '{entry.environment.name}', which "
                "is not registered; add it to the entry points 'latent_policies.environments'."
            )
    return CATALOG | found


def lookup(name: str) -> Entry:
    """The entry of a data set, with or without its version suffix.

    Raises:
        DataError: no such data set (names the nearest), or another version of it.
        ConfigError: an installed package adds a broken one.
    """
    known = datasets()
    if name in known:
        return known[name]
    of_ogbench = ogbench_names.parse(name)
    if of_ogbench is not None:
        return known.get(str(of_ogbench)) or _of_ogbench(of_ogbench)
    if (task := task_part(name)) is not None and name != task:
        return _open_entry(task, name.removeprefix(f"{task}-"))
    plain = re.sub(r"-v\d+$", "", name)
    if plain in known and known[plain].version:
        version = known[plain].version
        if name == f"{plain}-{version}":
            return known[plain]
        raise DataError(f"data set '{name}' holds other data than '{plain}-{version}'; use that.")
    raise DataError(f"unknown data set '{name}'; did you mean '{nearest(name, known)}'?")


def _open_entry(task: str, quality: str) -> Entry:
    """What this project can record of a task by its own package's name."""
    environment, kind = environments()[task], task.partition("/")[0]
    qualities = VD4RL_QUALITIES if kind == "dm_control" else QUALITIES
    if quality not in qualities:
        raise DataError(
            f"'{task}-{quality}' is no data set; choose a quality of {', '.join(qualities)}."
        )
    name = f"{environment.name}-{quality}"  # a known task has its own name here
    return CATALOG.get(name) or Entry(name, kind, "", "", environment, OPEN_ROWS)


def recorded_entry(name: str) -> Entry | None:
    """The data set that a recording says it is, if it is known."""
    if task_part(name) is not None or ogbench_names.parse(name) is not None:
        return lookup(name)
    return datasets().get(name)


def lookup_own(name: str) -> Entry:
    """What a file of one's own is used as: a data set, or a task without one of its own.

    Raises:
        DataError: neither is known by this name.
    """
    task = environments().get(name)
    if task is None or is_data_set(task.name):
        return lookup(name)
    return Entry(task.name, "", "", "", task, 0)


def canonical_name(name: str) -> str:
    """The one name of a data set or task, without a version; any other name as it is."""
    try:
        return lookup_own(name).name
    except DataError:  # the name of a file; loading says so where a data set is asked for
        return name


def is_data_set(name: str) -> bool:
    """Is this the canonical name of a data set, listed or not?"""
    return name in datasets() or str(ogbench_names.parse(name)) == name


def is_known(name: str) -> bool:
    """Is this the name of a data set or task, with or without its version?"""
    return is_data_set(canonical_name(name)) or name in environments()


def official_entry(file_name: str) -> Entry | None:
    """The data set whose official file has this name, if any; of OGBench, the default task."""
    listed = (x for x in CATALOG.values() if x.file.rpartition("/")[2] == file_name)
    found = ogbench_names.parse(file_name.removesuffix("-v0.npz"))
    if found is not None and file_name == f"{found.file}-v0.npz":
        return lookup(found.file)
    return next(listed, None)


def entry_of_sha256(digest: str) -> Entry | None:
    """The data set whose official file is known to have this digest, if any."""
    return next((x for x in CATALOG.values() if x.sha256 == digest), None)
