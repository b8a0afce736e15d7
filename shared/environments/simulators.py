"""Simulators by the name of their task."""

import warnings

from shared.environments import answers
from shared.environments.frames_environment import FramesEnvironment
from shared.environments.rendering import Pixels, drawing_backend
from shared.environments.tasks import Environment, environments, find_task
from shared.errors import ConfigError


def make_environment(name: str | None, *, render: bool = False, pixels: Pixels | None = None):
    """The environment of a task, with gymnasium's methods and D4RL's behaviour.

    Policies are scored in it through `make_checked` (shared/environments/checked.py).

    Arguments:
        name: task, e.g. `hopper`; None is the task that a run on your own data did not name.
        render: make `env.render()` return RGB frames (needs a headless GL).
        pixels: observations are frames; None = states.  OpenGL ties such an environment
            to one thread: make, use and close it there.

    Raises:
        ConfigError: no simulator is known for this task, or it draws no observations.
    """
    task = find_task(name)
    if task is None or not task.simulator:
        what = "this data, whose task is not named" if name is None else f"'{name}'"
        known = ", ".join(name for name, task in environments().items() if task.simulator)
        raise ConfigError(f"no simulator scores {what}; those of these tasks are known: {known}.")
    with drawing_backend():  # which MuJoCo asks for while it is imported
        return _make(task, render, pixels)


def _make(task: Environment, render: bool, pixels: Pixels | None):
    make = _OURS.get(task.simulator.partition("/")[0])
    if make is _control:
        return _control(task, pixels)
    if make is None:
        made = _gymnasium(task, render or pixels is not None)
        return made if pixels is None else FramesEnvironment(made, pixels.size)
    if pixels is not None:
        raise ConfigError(f"'{task.name}' is not seen in pixels; leave out --observation pixels.")
    return make(task)


def can_draw(task: Environment) -> bool:
    """Does its simulator show pixels?  Of gymnasium's those that can render do."""
    return _OURS.get(task.simulator.partition("/")[0], _control) is _control


def has_simulator(name: str | None) -> bool:
    """Can policies for this task be scored?  The robot that your logs are of has none."""
    task = find_task(name)
    return task is not None and bool(task.simulator)


_WALKERS = ("Hopper-v4", "HalfCheetah-v4", "Walker2d-v4")
"""Models of gymnasium with a camera that follows the robot."""


def _gymnasium(task: Environment, render: bool):
    """A registered task of gymnasium.

    The `-v4` of its locomotion is D4RL's `v2` physics: same dimensions, time limit and rewards.
    """
    import gymnasium

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gymnasium advises v5, which is another task
            drawn = {"render_mode": "rgb_array"} if render else {}
            if render and task.simulator in _WALKERS:
                drawn["camera_name"] = "track"  # gymnasium's default stays where they start
            made = gymnasium.make(task.simulator, disable_env_checker=True, **drawn)
    except (Exception, SystemExit) as error:  # another package's code may raise anything
        mend = "correct its gymnasium id, as 'package:Name-v0', or the simulator"
        if render:
            mend = (
                "leave out --video (or --observation pixels), or let the simulator take "
                "render_mode='rgb_array'"
            )
        raise ConfigError(
            f"the simulator '{task.simulator}' of '{task.name}' cannot be made "
            f"({answers.reason(error)}); {mend}."
        ) from error
    _require_boxes(task, made)
    sizes = [(task.observation_size,), (task.action_size,)]
    spaces = [made.observation_space.shape, made.action_space.shape]
    if spaces != sizes:
        raise ConfigError(
            f"the simulator '{task.simulator}' observes and acts in shapes {spaces}, but "
            f"'{task.name}' is registered with {sizes}; wrap the one or correct the other."
        )
    return made


def _require_boxes(task: Environment, made) -> None:
    """Refuse spaces that are no boxes of real numbers (`Dict`, `Discrete`, ...)."""
    import gymnasium

    flatten, rescale = "gymnasium.wrappers.FlattenObservation", "a wrapper with such actions"
    spaces = {
        "observation": (made.observation_space, "fiu", flatten),
        "action": (made.action_space, "f", rescale),
    }
    for what, (space, kinds, wrapper) in spaces.items():
        if not (isinstance(space, gymnasium.spaces.Box) and space.dtype.kind in kinds):
            made.close()
            raise ConfigError(
                f"the simulator '{task.simulator}' of '{task.name}' has the {what} space {space}, "
                f"but a Box of real numbers is needed; put {wrapper} around it."
            )


def _maze2d(task: Environment):
    from shared.environments.maze2d import Maze2D

    _, size, *dense = task.name.split("-")
    return Maze2D(size, dense=bool(dense), horizon=task.horizon)


def _adroit(task: Environment):
    from shared.environments.adroit import TASKS

    return TASKS[task.name](horizon=task.horizon)


def _kitchen(task: Environment):
    from shared.environments.kitchen import Kitchen

    return Kitchen(task.name, horizon=task.horizon)


def _antmaze(task: Environment):
    from shared.environments.antmaze import AntMaze

    return AntMaze(task.name.removeprefix("antmaze-"), horizon=task.horizon)


def _ogbench(task: Environment):
    from shared.environments.ogbench_simulator import OGBench

    return OGBench(task.name)


def _control(task: Environment, pixels: Pixels | None = None):
    from shared.environments.control_environment import ControlEnvironment

    if pixels is None:
        return ControlEnvironment(task.name)
    size, settings = pixels
    return ControlEnvironment(task.name, observation="pixels", size=size, settings=settings)


_OURS = {
    "dm_control": _control,
    "Maze2D": _maze2d,
    "AntMaze": _antmaze,
    "Adroit": _adroit,
    "FrankaKitchen": _kitchen,
    "OGBench": _ogbench,
}
