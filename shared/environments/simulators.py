"""Simulators by the name of their task."""

import warnings

SIMULATORS = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4", "walker2d": "Walker2d-v4"}
"""gymnasium's `-v4` is D4RL's `v2` physics: same dimensions, time limit and rewards."""


def make_environment(name: str, *, render: bool = False):
    """A gymnasium environment that scores data of this task.

    Arguments:
        name: task, e.g. `hopper`.
        render: make `env.render()` return RGB frames (needs a headless GL).

    Raises:
        ConfigError: no simulator is known for this task.
    """
    import gymnasium

    from shared.errors import ConfigError

    if name not in SIMULATORS:
        known = ", ".join(SIMULATORS)
        raise ConfigError(f"no simulator scores '{name}' yet; choose data of one of: {known}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium advises v5, which is another task
        return gymnasium.make(
            SIMULATORS[name],
            render_mode="rgb_array" if render else None,
            disable_env_checker=True,
        )
