"""Tasks that nobody registered here, by the name that their own package has for them.

    dm_control/DOMAIN-TASK      any of its suite, e.g. dm_control/cartpole-swingup
    gymnasium/ID                any registered id, e.g. gymnasium/Pendulum-v1; of another package
                                gymnasium/package:Name-v0

Sizes and horizon are the simulator's own.  A data set of such a task is named by its task and the
quality of the policies that recorded it: `dm_control/cartpole-swingup-expert`.

dm_control's tasks have V-D4RL's action repeat of two; a reward of at most 1 a control step makes
the number of these steps the highest return, which is the score 100.  Of a gymnasium task nothing
says what a good return is, so it has no scores, only returns.
"""

import functools
import math
import re
import warnings

from shared.errors import ConfigError

KINDS = ("dm_control", "gymnasium")
_NAMES = re.compile(r"(dm_control)/([^-/]+-[^-/]+)|(gymnasium)/((?:[\w.]+:)?[\w./-]+?-v\d+)")


def task_part(name: str) -> str | None:
    """The task that a name of an open task, or of a data set of one, begins with."""
    found = _NAMES.match(name)
    return found[0] if found and name[found.end() :][:1] in ("", "-") else None


def is_open(name: str | None) -> bool:
    """Is this the name of such a task?"""
    return name is not None and task_part(name) == name


@functools.cache
def sizes(name: str) -> tuple[str, float, int, int, int]:
    """Simulator, highest return, horizon, observation size and action size of an open task.

    Raises:
        ConfigError: its package does not know it, or is not installed.
    """
    kind, _, rest = name.partition("/")
    return (_of_control if kind == "dm_control" else _of_gymnasium)(name, rest)


def _of_control(name: str, rest: str):
    from shared.environments.control import ControlSimulator, control_task

    task, simulator = control_task(name), ControlSimulator(name)
    highest = float(task.control_steps) or math.nan
    found = simulator.observation_size, simulator.action_size
    simulator.physics.free()
    return f"dm_control/{rest}", highest, simulator.horizon, *found


def _of_gymnasium(name: str, rest: str):
    import gymnasium

    from shared.environments.answers import reason

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = gymnasium.make(rest, disable_env_checker=True)
    except (Exception, SystemExit) as error:  # another package's code may raise anything
        raise ConfigError(
            f"gymnasium cannot make '{rest}' of '{name}' ({reason(error)}); correct the id, or "
            "install the package that it is of."
        ) from error
    spaces = made.observation_space, made.action_space
    if not isinstance(made.action_space, gymnasium.spaces.Box):
        made.close()
        raise ConfigError(
            f"'{name}' has the action space {made.action_space}, but policies act by a Box of real "
            "numbers; choose a task with continuous actions."
        )
    limit = made.spec.max_episode_steps if made.spec is not None else None
    made.close()
    # Spaces of another kind are refused where the simulator is made for use.
    flat = (math.prod(getattr(space, "shape", None) or ()) for space in spaces)
    return rest, math.nan, limit or 0, *flat
