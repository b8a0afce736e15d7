"""How frames are drawn: as dm_control draws them, or several times faster.

Without a GPU a frame costs mostly shadows and multisampling.  A file must say how
its frames were drawn (`name`), because a policy sees the difference.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.errors import MemoryShortage, SystemPackageError, UserError, shortage


class RenderSettings(NamedTuple):
    """What is drawn of a scene.

    Attributes:
        name: recorded in files.
        shadows: draw the shadows of lights.
        reflections: draw mirrors (the floor reflects the robot).
        samples: of every pixel, against jagged edges; 0 switches multisampling off.
    """

    name: str
    shadows: bool
    reflections: bool
    samples: int

    def flags(self) -> dict[str, bool]:
        """dm_control's `render_flag_overrides`."""
        return {"shadow": self.shadows, "reflection": self.reflections}


FAITHFUL = RenderSettings("faithful", True, True, 4)
"""dm_control's own settings, those of V-D4RL."""
FAST = RenderSettings("fast", False, False, 0)
SETTINGS = {x.name: x for x in (FAITHFUL, FAST)}


class Pixels(NamedTuple):
    """How a policy sees a simulator: frames of `size` × `size` pixels, drawn by `settings`."""

    size: int
    settings: RenderSettings

    def to_dict(self) -> dict[str, Any]:
        """As `run.json` holds it."""
        return {"size": self.size, "settings": self.settings._asdict()}

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Pixels | None":
        """What the record of a run says; None for a policy that sees states."""
        found = record.get("pixels")
        return None if found is None else cls(found["size"], RenderSettings(**found["settings"]))


@contextlib.contextmanager
def drawing_backend() -> Iterator[None]:
    """Let MuJoCo and dm_control draw without a display: by headless EGL, or not at all.

    MuJoCo chooses its OpenGL when it is imported, gymnasium when it draws its first picture.
    """
    before = os.environ.get("MUJOCO_GL")
    chosen = before is not None or "DISPLAY" in os.environ or sys.platform != "linux"
    if not chosen:
        os.environ["MUJOCO_GL"] = "egl" if _has_egl() else "disable"
    try:
        yield
    finally:
        if not chosen:
            os.environ.pop("MUJOCO_GL", None)


def cannot_draw(error: Exception, reason: str) -> UserError:
    """What to raise when a simulator of ours drew nothing: it lacks memory, or OpenGL."""
    sentence = shortage(error)
    if sentence is not None:
        return MemoryShortage(f"no picture could be drawn ({reason}): {sentence}")
    return SystemPackageError(
        "no headless OpenGL is available to draw pictures; install the system packages libegl1 and "
        f"libgl1 and set MUJOCO_GL=egl ({reason})."
    )


def _has_egl() -> bool:
    try:
        return all(ctypes.CDLL(f"lib{name}.so.1") for name in ("EGL", "GL"))
    except OSError:
        return False
