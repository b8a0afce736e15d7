"""Films of policies, for people who would rather look."""

from pathlib import Path

import numpy as np

from shared.errors import ConfigError, SystemPackageError


def film(policy, path: Path, *, seed: int = 0, size: int = 480) -> int:
    """One episode of `policy` as .mp4 or .gif; returns the number of frames.

    Raises:
        SystemPackageError: the machine has no headless OpenGL.
        ConfigError: the file name ends in neither .mp4 nor .gif.
    """
    import imageio.v3 as imageio

    from shared.environments.simulators import make_environment

    if path.suffix not in (".mp4", ".gif"):
        raise ConfigError(f"{path}: videos are written as .mp4 or .gif; change the file's ending.")
    environment = make_environment(policy.record["environment"], render=True)
    observation, _ = environment.reset(seed=seed)
    policy.reset()
    frames, reward, over = [], 0.0, False
    while not over:
        frames.append(_frame(environment))
        action = policy.act(observation, reward=reward)
        observation, reward, terminal, timeout, _ = environment.step(action)
        over = terminal or timeout
    rate = environment.metadata["render_fps"]
    environment.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":  # every second frame: GIF players cap the rate at 50
        imageio.imwrite(path, np.stack(frames[::4]), duration=4000 / rate, loop=0)
    else:
        imageio.imwrite(path, np.stack(frames), fps=rate, codec="libx264")
    return len(frames)


def _frame(environment) -> np.ndarray:
    try:
        return environment.render()
    except Exception as error:  # every GL back end raises its own kind
        raise SystemPackageError(
            "no headless OpenGL is available for the video; install the system packages libegl1 "
            f"and libgl1 and set MUJOCO_GL=egl ({type(error).__name__}: {error})."
        ) from error
