"""Films of policies, for people who would rather look."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from shared.environments.caption import captioned
from shared.environments.checked import CheckedSimulator, make_checked
from shared.environments.rendering import Pixels, drawing_backend
from shared.errors import ConfigError

_GIF_EVERY = 4
"""Players show at most 50 pictures a second."""
_BLOCK = 16
"""Sides of an .mp4 are multiples of it."""


def film(policy, path: Path, *, label: str = "", start: int = 0) -> int:
    """One episode of `policy` as .mp4 or .gif.

    Arguments:
        policy: from `load_policy`; its memory starts anew.
        path: of the file.
        label: what the caption of every picture ends with, behind step and return so far.
        start: seed of the episode's start.

    Returns:
        The number of pictures in the file.

    Raises:
        SystemPackageError: the machine has no headless OpenGL.
        ConfigError: the file name ends in neither .mp4 nor .gif, or the simulator draws nothing.
        SimulatorError: it fails, or what it draws is no picture.
    """
    require_video(path)
    every = _GIF_EVERY if path.suffix == ".gif" else 1
    pictures, rate = pictures_of(policy, every=every, label=label, start=start)
    write_video(path, pictures, rate)
    return len(pictures)


def pictures_of(
    policy, *, every: int = 1, label: str = "", start: int = 0, steps: int | None = None
) -> tuple[UInt8[np.ndarray, "time height width 3"], float]:
    """A picture of every `every`th step of an episode and of its end, and how many are a second.

    It is cut after `steps`; other arguments and errors as of `film`.
    """
    record = policy.record
    with drawing_backend():
        simulator = make_checked(
            record["environment"], units=policy.units, render=True, pixels=Pixels.of(record)
        )
        try:
            pictures = _play(policy, simulator, every, label, start, steps)
            return np.stack(pictures), simulator.rate / every
        finally:
            simulator.close()


def _play(
    policy, simulator: CheckedSimulator, every: int, label: str, start: int, steps: int | None
) -> list:
    observation, _ = simulator.reset(seed=start)
    policy.reset()
    pictures, reward, sum_, step, over = [], 0.0, 0.0, 0, False
    while True:
        if over or step % every == 0:
            caption = f"step {step:4d}  return {sum_:,.1f}  {label}"
            pictures.append(captioned(simulator.render(), caption))
        if over:
            return pictures
        action = policy.act(observation, reward=reward)
        observation, reward, terminal, timeout, _ = simulator.step(action)
        sum_, step = sum_ + reward, step + 1
        over = terminal or timeout or step == steps


def require_video(path: Path) -> None:
    """Refuse a file name that ends in neither .mp4 nor .gif."""
    if path.suffix not in (".mp4", ".gif"):
        raise ConfigError(f"{path}: videos are written as .mp4 or .gif; change the file's ending.")


def write_video(path: Path, frames: UInt8[np.ndarray, "time height width 3"], rate: float) -> None:
    """Frames as .mp4 or .gif, `rate` a second."""
    import imageio.v3 as imageio

    # Else ffmpeg is started by a fork that runs Python code, which may hang beside JAX's threads.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    require_video(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        imageio.imwrite(path, frames, duration=1000 / rate, loop=0)
    else:
        # Else imageio would stretch them to what codecs like.
        missing = [(0, -side % _BLOCK) for side in frames.shape[1:3]]
        imageio.imwrite(path, np.pad(frames, ((0, 0), *missing, (0, 0))), fps=rate, codec="libx264")
