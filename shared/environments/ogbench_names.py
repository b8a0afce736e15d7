"""The names of OGBench's data sets of states, and what their tasks measure.

    cube-single-play-singletask-task3-v0     task 3 of the cube, data recorded while playing
    cube-single-play-singletask-v0           its default task, here task 2
    cube-single-play-v0, cube-single-play    the same; this is the name that is shown

A file holds no task: one file serves the five tasks of its domain (`shared/data/files/ogbench.py`).

Source: OGBench (Park et al., 2025), MIT; horizons and sizes are those of its package, which
a test compares.  The number of episodes of a file and their lengths are those of the commands that
its authors published with it.
"""

import re
from typing import NamedTuple

TASKS = 5


class Domain(NamedTuple):
    """What the tasks of one simulator have in common.

    Attributes:
        observation_size: numbers in an observation.
        action_size: numbers in an action.
        horizon: environment steps of an evaluation.
        task: the default one, 1 to 5.
    """

    observation_size: int
    action_size: int
    horizon: int
    task: int


DOMAINS = {
    "pointmaze-medium": Domain(2, 2, 1000, 1),
    "pointmaze-large": Domain(2, 2, 1000, 1),
    "pointmaze-giant": Domain(2, 2, 1000, 1),
    "pointmaze-teleport": Domain(2, 2, 1000, 1),
    "antmaze-medium": Domain(29, 8, 1000, 1),
    "antmaze-large": Domain(29, 8, 1000, 1),
    "antmaze-giant": Domain(29, 8, 1000, 1),
    "antmaze-teleport": Domain(29, 8, 1000, 1),
    "humanoidmaze-medium": Domain(69, 21, 2000, 1),
    "humanoidmaze-large": Domain(69, 21, 2000, 1),
    "humanoidmaze-giant": Domain(69, 21, 4000, 1),
    "antsoccer-arena": Domain(42, 8, 1000, 4),
    "antsoccer-medium": Domain(42, 8, 1000, 4),
    "cube-single": Domain(28, 5, 200, 2),
    "cube-double": Domain(37, 5, 500, 2),
    "cube-triple": Domain(46, 5, 1000, 2),
    "cube-quadruple": Domain(55, 5, 1000, 2),
    "scene": Domain(40, 5, 750, 2),
    "puzzle-3x3": Domain(55, 5, 500, 4),
    "puzzle-4x4": Domain(83, 5, 500, 4),
    "puzzle-4x5": Domain(99, 5, 1000, 2),
    "puzzle-4x6": Domain(115, 5, 1000, 2),
}
ARMS = ("cube", "scene", "puzzle")
"""How the domains of the robot arm begin."""
FILES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("cube-single-play", "cube-double-play", "scene-play"), (1000, 1001)),
    **dict.fromkeys(("cube-single-noisy", "cube-double-noisy", "scene-noisy"), (1000, 1001)),
    **dict.fromkeys(("cube-triple-play", "cube-triple-noisy"), (3000, 1001)),
    **dict.fromkeys(("cube-quadruple-play", "cube-quadruple-noisy"), (5000, 1001)),
    **dict.fromkeys(("puzzle-3x3-play", "puzzle-4x4-play"), (1000, 1001)),
    **dict.fromkeys(("puzzle-3x3-noisy", "puzzle-4x4-noisy"), (1000, 1001)),
    **dict.fromkeys(("puzzle-4x5-play", "puzzle-4x5-noisy"), (3000, 1001)),
    **dict.fromkeys(("puzzle-4x6-play", "puzzle-4x6-noisy"), (5000, 1001)),
    **{f"pointmaze-{x}-navigate": (1000, 1001) for x in ("medium", "large", "teleport")},
    **{f"antmaze-{x}-navigate": (1000, 1001) for x in ("medium", "large", "teleport")},
    **{f"{x}-giant-navigate": (500, 2001) for x in ("pointmaze", "antmaze")},
    **{
        f"{x}-{size}-stitch": (5000, 201)
        for x in ("pointmaze", "antmaze")
        for size in ("medium", "large", "giant", "teleport")
    },
    **{f"antmaze-{x}-explore": (10000, 501) for x in ("medium", "large", "teleport")},
    **{f"humanoidmaze-{x}-navigate": (1000, 2001) for x in ("medium", "large")},
    **{f"humanoidmaze-{x}-stitch": (5000, 401) for x in ("medium", "large")},
    "humanoidmaze-giant-navigate": (1000, 4001),
    "humanoidmaze-giant-stitch": (10000, 401),
    "antsoccer-arena-navigate": (1000, 1001),
    "antsoccer-medium-navigate": (4000, 1001),
    "antsoccer-arena-stitch": (5000, 201),
    "antsoccer-medium-stitch": (8000, 501),
}
"""Data sets without their task: episodes of the file, and rows of an episode."""
LISTED = (
    "pointmaze-medium-navigate",
    "pointmaze-large-navigate",
    "antmaze-medium-navigate",
    "antmaze-large-navigate",
    "antmaze-giant-navigate",
    "humanoidmaze-medium-navigate",
    "humanoidmaze-large-navigate",
    "antsoccer-arena-navigate",
    "cube-single-play",
    "cube-double-play",
    "cube-triple-play",
    "cube-quadruple-play",
    "scene-play",
    "puzzle-3x3-play",
    "puzzle-4x4-play",
    "puzzle-4x5-play",
    "puzzle-4x6-play",
)
"""The data sets that tables list with their default tasks: those that methods are compared on.
The other names are known, too."""
_NAME = re.compile(r"(?P<file>.+?)(?:-singletask(?:-task(?P<task>\d+))?)?(?:-v0)?")


class Name(NamedTuple):
    """A data set of OGBench and one of its tasks; as text, the one name that is shown.

    Attributes:
        file: data set without a task, one of `FILES`.
        task: number of the task, 1 to 5.
    """

    file: str
    task: int

    @property
    def domain(self) -> str:
        """What is simulated, one of `DOMAINS`."""
        return self.file.rpartition("-")[0]

    @property
    def kind(self) -> str:
        """How the data were recorded: play, noisy, navigate, stitch or explore."""
        return self.file.rpartition("-")[2]

    @property
    def full(self) -> str:
        """The name as OGBench spells it."""
        return f"{self.file}-singletask-task{self.task}-v0"

    def __str__(self) -> str:
        default = DOMAINS[self.domain].task
        return self.file if self.task == default else self.full.removesuffix("-v0")


def parse(name: str) -> Name | None:
    """The data set and task that a name means; None if it is none of OGBench's of states."""
    match = _NAME.fullmatch(name)
    if match is None or match["file"] not in FILES:
        return None
    file, task = match["file"], match["task"]
    found = DOMAINS[file.rpartition("-")[0]].task if task is None else int(task)
    return Name(file, found) if 1 <= found <= TASKS else None
