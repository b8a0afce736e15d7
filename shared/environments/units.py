"""The units of a robot, and those in which policies see and act.

A policy sees float32 numbers and answers in [-1, 1].  What its data were scaled from
(`action_range`) and what was subtracted of their observations (`observation_offset`) is noted
with every run; here both are undone, in float64, for simulators and for the robot itself.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class Units(NamedTuple):
    """How a robot's numbers differ from a policy's.

    Attributes:
        action_range: lowest and highest command of every motor; None if they are -1 and 1.
        observation_offset: subtracted from every observation; None if nothing is.
    """

    action_range: tuple[Float[np.ndarray, "action"], Float[np.ndarray, "action"]] | None = None
    observation_offset: Float[np.ndarray, "observation"] | None = None

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Units":
        """What the record of a run says; earlier versions knew no other units."""
        bounds = record["spec"].get("action_range")
        offset = record["spec"].get("observation_offset")
        return cls(
            None if bounds is None else (np.float32(bounds[0]), np.float32(bounds[1])),
            None if offset is None else np.asarray(offset, np.float64),
        )

    def seen(self, observation: np.ndarray) -> np.ndarray:
        """A robot's observation(s) as the data hold them, not yet rounded to float32."""
        if self.observation_offset is None:
            return observation
        return np.asarray(observation, np.float64) - self.observation_offset

    def command(self, action: Float[np.ndarray, "*rows action"]) -> np.ndarray:
        """What an action in [-1, 1] commands: the robot's own numbers, float32."""
        if self.action_range is None:
            return action
        low, high = (x.astype(np.float64) for x in self.action_range)
        share = (np.asarray(action, np.float64) + 1) / 2
        return np.clip((low + share * (high - low)).astype(np.float32), *self.action_range)


PLAIN = Units()
"""The robot's numbers are the policy's."""
