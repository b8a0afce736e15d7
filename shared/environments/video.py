"""Films of policies, for people who would rather look."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from shared.environments.caption import captioned
from shared.environments.checked import CheckedSimulator, make_checked
from shared.environments.rendering import Pixels, drawing_backend
from shared.errors import ConfigError, SystemPackageError, UserError

_GIF_EVERY = 4
"""Players show at most 50 pictures a second."""


def film(policy, path: Path, *, label: str = "", start: int = 0) -> int:
    """One episode of `policy` as .mp4 or .gif.

    Arguments:
        policy: from `load_policy`; its memory starts anew.
        path: of the file.
        label: what the caption of every picture begins with, before step and return so far.
        start: seed of the episode's start.

    Returns:
        The number of pictures in the file.

    Raises:
        SystemPackageError: the machine has no headless OpenGL.
        ConfigError: the file name ends in neither .mp4 nor .gif.
    """
    require_video(path)
    record = policy.record
    with drawing_backend():
        simulator = make_checked(
            record["environment"], units=policy.units, render=True, pixels=Pixels.of(record)
        )
        try:
            every = _GIF_EVERY if path.suffix == ".gif" else 1
            pictures = _play(policy, simulator, every, label, start)
        finally:
            simulator.close()
    write_video(path, np.stack(pictures), simulator.rate / every)
    return len(pictures)


def _play(policy, simulator: CheckedSimulator, every: int, label: str, start: int) -> list:
    """A picture of every `every`th step of an episode, and of its end."""
    observation, _ = simulator.reset(seed=start)
    policy.reset()
    pictures, reward, sum_, step, over = [], 0.0, 0.0, 0, False
    while True:
        if over or step % every == 0:
            caption = f"{label}step {step:4d}  return {sum_:,.1f}"
            pictures.append(captioned(_picture(simulator), caption))
        if over:
            return pictures
        action = policy.act(observation, reward=reward)
        observation, reward, terminal, timeout, _ = simulator.step(action)
        sum_, step, over = sum_ + reward, step + 1, terminal or timeout


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


def _picture(simulator: CheckedSimulator) -> np.ndarray:
    try:
        return simulator.render()
    except UserError:
        raise
    except Exception as error:  # every GL back end raises its own kind
        raise SystemPackageError(
            "no headless OpenGL is available for the video; install the system packages libegl1 "
            f"and libgl1 and set MUJOCO_GL=egl ({type(error).__name__}: {error})."
        ) from error
