"""The table of tasks: name -> simulator, sizes, horizon, reference returns.

Another package adds its own by an entry point, whose name is that of the object:

    [project.entry-points."latent_policies.environments"]
    my-robot = "my_package.robots:ROBOT"      # an `Environment`

OGBench's tasks are scored by their success; those that the table does not list are known by name
(`find_task`).
Tasks of dm_control and gymnasium that are not in the table go by their package's name for them, see
`open_tasks`.

Source of the reference returns: D4RL (Fu et al., 2020), Apache-2.0; V-D4RL (Lu et al., 2022), MIT.
"""

import difflib
import functools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.entry_points import registered
from shared.environments import ogbench_names, open_tasks

CONTINUING = "continuing"
"""One endless trajectory: neither terminals nor timeouts are set (maze2d).
It is cut every `horizon` rows, as D4RL's own reader does.  Also, reward[t] is
judged on observation[t], not on what action[t] leads to; it is kept as it is."""
TERMINALS_INSIDE = "terminals-inside"
"""A trajectory goes on after a terminal row: the goal marks a cluster of rows (antmaze).
Episodes end at timeouts only; `terminal` still masks the bootstrap."""


@dataclass(frozen=True)
class Environment:
    """A task, its sizes, and D4RL's reference returns.

    Attributes:
        simulator: what scores policies (shared/environments): a gymnasium id, one of ours by
            name, or `dm_control/DOMAIN-TASK`; empty where there is none, and then no scores.
        minimum: return of a random policy (score 0); NaN where it is not known.
        maximum: return of an expert (score 100); the same.
        horizon: environment steps of an episode without a terminal, after which it is cut;
            0 leaves that to the simulator.
        quirk: `CONTINUING`, `TERMINALS_INSIDE` or empty.
        by_success: a terminal is a success, and the score of an episode is 100 if it has one;
            then `minimum` and `maximum` are shares of successes, and a return has no score.
    """

    name: str
    simulator: str
    minimum: float
    maximum: float
    horizon: int
    observation_size: int
    action_size: int
    quirk: str = ""
    by_success: bool = False

    @property
    def megabytes(self) -> int:
        """Of memory that one of its simulators takes, about; those of OGBench's arm hold meshes."""
        if self.simulator == "OGBench" and self.name.startswith(ogbench_names.ARMS):
            return 160
        kind = self.simulator.partition("/")[0]
        return {"dm_control": 16, "Adroit": 12}.get(kind, 3)


def _of_ogbench(name: ogbench_names.Name) -> Environment:
    sizes = ogbench_names.DOMAINS[name.domain]
    widths = sizes.observation_size, sizes.action_size
    return Environment(
        str(name), "OGBench", 0.0, 1.0, sizes.horizon, *widths, TERMINALS_INSIDE, True
    )


_ENVIRONMENTS = (
    Environment("hopper", "Hopper-v4", -20.272305, 3234.3, 1000, 11, 3),
    Environment("halfcheetah", "HalfCheetah-v4", -280.178953, 12135.0, 1000, 17, 6),
    Environment("walker2d", "Walker2d-v4", 1.629008, 4592.3, 1000, 17, 6),
    Environment("maze2d-umaze", "Maze2D", 23.85, 161.86, 300, 4, 2, CONTINUING),
    Environment("maze2d-medium", "Maze2D", 13.13, 277.39, 600, 4, 2, CONTINUING),
    Environment("maze2d-large", "Maze2D", 6.7, 273.99, 800, 4, 2, CONTINUING),
    Environment("maze2d-umaze-dense", "Maze2D", 68.537689, 193.662856, 300, 4, 2, CONTINUING),
    Environment("maze2d-medium-dense", "Maze2D", 44.264742, 297.455255, 600, 4, 2, CONTINUING),
    Environment("maze2d-large-dense", "Maze2D", 30.569041, 303.485738, 800, 4, 2, CONTINUING),
    Environment("antmaze-umaze", "AntMaze", 0.0, 1.0, 700, 29, 8, TERMINALS_INSIDE),
    Environment("antmaze-medium", "AntMaze", 0.0, 1.0, 1000, 29, 8, TERMINALS_INSIDE),
    Environment("antmaze-large", "AntMaze", 0.0, 1.0, 1000, 29, 8, TERMINALS_INSIDE),
    Environment("pen", "Adroit", 96.262799, 3076.8331017826877, 100, 45, 24),
    Environment("hammer", "Adroit", -274.856578, 12794.134825156867, 200, 46, 26),
    Environment("door", "Adroit", -56.512833, 2880.5693087298737, 200, 39, 28),
    Environment("relocate", "Adroit", -6.425911, 4233.877797728884, 200, 39, 30),
    # complete and partial are scored by the same four tasks, mixed by others
    Environment("kitchen", "FrankaKitchen", 0.0, 4.0, 280, 60, 9),
    Environment("kitchen-mixed", "FrankaKitchen", 0.0, 4.0, 280, 60, 9),
    Environment("walker_walk", "dm_control/walker-walk", 0.0, 1000.0, 500, 24, 6),
    Environment("cheetah_run", "dm_control/cheetah-run", 0.0, 1000.0, 500, 17, 6),
    Environment("humanoid_walk", "dm_control/humanoid-walk", 0.0, 1000.0, 500, 67, 21),
    *(_of_ogbench(name) for name in map(ogbench_names.parse, ogbench_names.LISTED) if name),
)
ENVIRONMENTS: dict[str, Environment] = {x.name: x for x in _ENVIRONMENTS}


class Tasks(dict[str, Environment]):
    """Tasks by name.  Open ones are found when they are asked for, and are not in its lists."""

    def __missing__(self, name: str) -> Environment:
        if (of_ogbench := ogbench_names.parse(name)) is not None:
            listed = dict.get(self, str(of_ogbench))
            return _of_ogbench(of_ogbench) if listed is None else listed
        if not open_tasks.is_open(name):
            raise KeyError(name)
        simulator, highest, horizon, *sizes = open_tasks.sizes(name)
        same = (task for task in self.values() if task.simulator == simulator)
        own = Environment(name, simulator, 0.0, highest, horizon, *sizes)
        return next(same, own) if name.startswith("dm_control/") else _unscored(own)

    def get(self, name, default=None):
        """The task, or `default` where nobody knows it."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None


def _unscored(task: Environment) -> Environment:
    return replace(task, minimum=math.nan, maximum=math.nan)


@functools.cache
def environments() -> Tasks:
    """Every task by name: those of this page and those of installed packages.

    Raises:
        ConfigError: an entry point is broken or hides another name.
    """
    group = "latent_policies.environments"
    return Tasks(ENVIRONMENTS | registered(group, "environment", ENVIRONMENTS, Environment))


def find_task(name: str | None) -> Environment | None:
    """The task of this name, listed or not; None if there is none."""
    return environments().get(name or "")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like `name`."""
    plain = re.sub(r"-v\d+$", "", name.lower().replace("_", "-"))
    return max(known, key=lambda x: difflib.SequenceMatcher(None, plain, x).ratio())
