"""Simulators by the name of their task."""

import warnings

from shared.data.catalog import ENVIRONMENTS, Environment
from shared.errors import ConfigError


def make_environment(name: str, *, render: bool = False):
    """The environment that scores a task, with gymnasium's methods and D4RL's behaviour.

    Arguments:
        name: task, e.g. `hopper`.
        render: make `env.render()` return RGB frames (needs a headless GL).

    Raises:
        ConfigError: no simulator is known for this task.
    """
    task = ENVIRONMENTS.get(name)
    if task is None:
        raise ConfigError(f"no simulator scores '{name}'; choose one of {', '.join(ENVIRONMENTS)}.")
    make = _OURS.get(task.simulator.partition("/")[0])
    return _locomotion(task, render) if make is None else make(task)


def _locomotion(task: Environment, render: bool):
    """The `-v4` of gymnasium is D4RL's `v2` physics: same dimensions, time limit and rewards."""
    import gymnasium

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium advises v5, which is another task
        return gymnasium.make(
            task.simulator,
            render_mode="rgb_array" if render else None,
            disable_env_checker=True,
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


def _control(task: Environment):
    from shared.environments.control_environment import ControlEnvironment

    return ControlEnvironment(task.name)


_OURS = {
    "dm_control": _control,
    "Maze2D": _maze2d,
    "AntMaze": _antmaze,
    "Adroit": _adroit,
    "FrankaKitchen": _kitchen,
}
