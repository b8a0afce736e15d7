"""Films of policies, for people who would rather look."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from shared.environments.rendering import Pixels
from shared.errors import ConfigError, SystemPackageError


def film(policy, path: Path, *, seed: int = 0, size: int = 480) -> int:
    """One episode of `policy` as .mp4 or .gif; returns the number of frames.

    Raises:
        SystemPackageError: the machine has no headless OpenGL.
        ConfigError: the file name ends in neither .mp4 nor .gif.
    """
    from shared.environments.simulators import make_environment

    require_video(path)
    pixels = Pixels.of(policy.record)
    environment = make_environment(policy.record["environment"], render=True, pixels=pixels)
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
    # GIF players cap the rate at 50.
    every = 4 if path.suffix == ".gif" else 1
    write_video(path, np.stack(frames[::every]), rate / every)
    return len(frames)


def require_video(path: Path) -> None:
    """Refuse a file name that ends in neither .mp4 nor .gif."""
    if path.suffix not in (".mp4", ".gif"):
        raise ConfigError(f"{path}: videos are written as .mp4 or .gif; change the file's ending.")


def write_video(path: Path, frames: UInt8[np.ndarray, "time height width 3"], rate: float) -> None:
    """Frames as .mp4 or .gif, `rate` a second; sides must be even for .mp4."""
    import imageio.v3 as imageio

    # Else ffmpeg is started by a fork that runs Python code, which may hang beside JAX's threads.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    require_video(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        imageio.imwrite(path, frames, duration=1000 / rate, loop=0)
    else:
        imageio.imwrite(path, frames, fps=rate, codec="libx264")


def _frame(environment) -> np.ndarray:
    try:
        return environment.render()
    except Exception as error:  # every GL back end raises its own kind
        raise SystemPackageError(
            "no headless OpenGL is available for the video; install the system packages libegl1 "
            f"and libgl1 and set MUJOCO_GL=egl ({type(error).__name__}: {error})."
        ) from error
