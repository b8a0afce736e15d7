"""The states of a V-D4RL folder, as any other data set of rows."""

import numpy as np

from shared.data.checks.table import find_faults
from shared.data.recording.columns import Columns
from shared.data.vd4rl.rows import STATE_PARTS
from shared.datasets.frame_data import FrameData
from shared.datasets.frames import to_transitions
from shared.datasets.row_data import RowData
from shared.environments.tasks import environments
from shared.errors import DataError
from shared.types import Transition


def states_of(data: FrameData) -> RowData:
    """The state variant of frames.

    Raises:
        DataError: the files hold no states, or states with a fault (`checks`).
    """
    if data.frames.state is None:
        raise DataError(
            f"{data.path}: holds no states (none of {', '.join(STATE_PARTS[:4])}, ...), only "
            "pixels; record a set with states, or train from pixels."
        )
    transitions, episode = to_transitions(data.frames)
    told = _warnings(data, transitions, episode)
    shared = {k: v for k, v in vars(data).items() if k != "frames"}
    shared["warnings"] = (*data.warnings, *told)
    return RowData(transitions=transitions, episode=episode, **shared)


def _warnings(data: FrameData, transitions: Transition, episode: np.ndarray) -> list[str]:
    """The faults of the states, as of any other file."""
    observation, action, reward, terminal, following = transitions
    last = np.append(episode[1:] != episode[:-1], True)
    columns = Columns(observation, action, reward, terminal, last & ~terminal, following)
    faults = find_faults(columns, environments().get(data.environment or ""))
    for fault in faults:
        if fault.severity == "error":
            raise DataError(f"{data.path}: in the states, {fault.sentence}")
    return [f"{data.path.name}: in the states, {fault.sentence}" for fault in faults]
