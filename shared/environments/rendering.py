"""How frames are drawn: as dm_control draws them, or several times faster.

Without a GPU a frame costs mostly shadows and multisampling.  A file must say how
its frames were drawn (`name`), because a policy sees the difference.
"""

from typing import Any, NamedTuple


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
