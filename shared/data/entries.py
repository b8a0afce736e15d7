"""What the table of data sets holds: a task, and a data set of it.

Other packages add their own by entry points, whose names are those of the objects:

    [project.entry-points."latent_policies.environments"]
    my-robot = "my_package.robots:ROBOT"      # an `Environment`

    [project.entry-points."latent_policies.datasets"]
    my-robot-logs = "my_package.robots:LOGS"  # an `Entry`
"""

from dataclasses import dataclass
from typing import TypeVar

from shared.entry_points import additions
from shared.errors import ConfigError

SUITES = ("gym-mujoco", "maze2d", "antmaze", "adroit", "kitchen", "vd4rl")

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
        horizon: environment steps of an episode without a terminal.
        quirk: `CONTINUING`, `TERMINALS_INSIDE` or empty.
    """

    name: str
    simulator: str
    minimum: float
    maximum: float
    horizon: int
    observation_size: int
    action_size: int
    quirk: str = ""


@dataclass(frozen=True)
class Entry:
    """One data set.

    Attributes:
        suite: one of `SUITES`; another package's sets have a suite of their own.
        file: path of the official file (V-D4RL: folder) below a mirror's root; of another
            package's set, an absolute path is a file or folder on this machine.
        version: suffix of D4RL's name for this file; empty in V-D4RL.
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


Registered = TypeVar("Registered", Environment, Entry)


def registered(
    group: str, what: str, known: dict[str, Registered], kind: type[Registered]
) -> dict[str, Registered]:
    """What installed packages add to `known`, by name.

    Raises:
        ConfigError: an entry point is broken, hides another or has another name than its object.
    """
    form = f"a shared.data.catalog.{kind.__name__}"
    found = additions(group, what, known, lambda x: isinstance(x, kind), form)
    for name, x in found.items():
        if x.name != name:
            raise ConfigError(
                f"{what} '{x.name}' is registered as '{name}'; give it one name in both places."
            )
    return found
