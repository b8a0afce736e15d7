"""D4RL's normalised score: 0 is a random policy, 100 an expert."""

import numpy as np

from shared.environments.open_tasks import task_part
from shared.environments.tasks import Environment, environments, find_task, nearest
from shared.errors import DataError


def normalized_score(environment: str, return_):
    """100 · (return − minimum) / (maximum − minimum), D4RL (Fu et al., 2020), section 5.

    Arguments:
        environment: name of a task (`hopper`) or of a data set (`hopper-medium`).
        return_: raw episode return, a float or an array of them.

    Returns:
        The score, of the same shape; a Python float for a Python float.  NaN for a task that is
        registered without reference returns, and for one that is scored by success.

    Raises:
        DataError: there are no reference returns for this name.
    """
    known = _task_of(environment)
    if known is None:
        suggestion = nearest(environment, environments())
        raise DataError(
            f"no reference returns for environment '{environment}'; did you mean '{suggestion}'?"
        )
    scale = np.nan if known.by_success else 100 / (known.maximum - known.minimum)
    if isinstance(return_, int | float):
        return (float(return_) - known.minimum) * scale
    return (np.asarray(return_, np.float64) - known.minimum) * scale


def episode_score(environment: str, return_: float, terminal: bool) -> float:
    """The score of an evaluated episode: by its return, or 100 for a success and 0 for none.

    Arguments:
        environment: name of a task.
        return_: raw episode return.
        terminal: did it end by itself?  Where success scores, that is success.

    Raises:
        DataError: the task is not known.
    """
    known = _task_of(environment)
    if known is not None and known.by_success:
        return 100.0 * terminal
    return float(normalized_score(environment, return_))


def _task_of(name: str) -> Environment | None:
    """The task of this name, or the one whose name a data set's begins with."""
    if (task := task_part(name)) is not None:
        return environments().get(task)
    if (known := find_task(name)) is not None:
        return known
    fitting = [task for task in environments() if name == task or name.startswith(f"{task}-")]
    return environments()[max(fitting, key=len)] if fitting else None
