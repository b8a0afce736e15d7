"""Simulators by the name of their task."""

import warnings

from shared.data.catalog import ENVIRONMENTS
from shared.errors import ConfigError


def make_environment(name: str, *, render: bool = False):
    """The gymnasium environment that scores a task.

    gymnasium's `-v4` is D4RL's `v2` physics: same dimensions, time limit and rewards.

    Arguments:
        name: task, e.g. `hopper`.
        render: make `env.render()` return RGB frames (needs a headless GL).

    Raises:
        ConfigError: no simulator is known for this task.
    """
    import gymnasium

    simulators = {x.name: x.simulator for x in ENVIRONMENTS.values() if x.simulator}
    if name not in simulators:
        known = ", ".join(simulators)
        raise ConfigError(f"no simulator scores '{name}' yet; choose data of one of: {known}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium advises v5, which is another task
        return gymnasium.make(
            simulators[name],
            render_mode="rgb_array" if render else None,
            disable_env_checker=True,
        )
