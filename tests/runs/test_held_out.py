"""Episodes that training never sees, for policies to be judged on."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_plan

from shared.datasets.frame_data import FrameData
from shared.datasets.frames import Frames
from shared.errors import ConfigError
from shared.runs.carry_out import training_part


def test_training_never_sees_an_episode_that_is_held_out(hopper_random):
    settings = tiny_plan("bc", held_out_episodes=0.2).settings
    held, seen = hopper_random.judged_episodes(0.2), training_part(settings, hopper_random)
    numbers = np.unique(hopper_random.episode)
    assert len(held) == round(0.2 * len(numbers)) and not set(held) & set(seen.episode)
    assert set(held) | set(seen.episode) == set(numbers)
    rows = np.isin(hopper_random.episode, seen.episode)
    for ours, theirs in zip(seen.transitions, hopper_random.transitions, strict=True):
        np.testing.assert_array_equal(ours, theirs[rows])
    rest = np.setdiff1d(numbers, held)
    np.testing.assert_array_equal(seen.episode_returns, hopper_random.episode_returns[rest])
    # What a smaller share judges is among what a larger one does: runs of both can be compared.
    assert set(hopper_random.judged_episodes(0.1)) <= set(held)
    assert training_part(tiny_plan("bc").settings, hopper_random) is hopper_random


def test_of_pictures_no_episode_is_held_out():
    flat, one = np.zeros(2, np.float32), np.ones(1, int)
    frames = Frames(np.zeros((2, 4, 4, 3), np.uint8), None, flat[:, None], flat, flat > 0, one - 1)
    data = FrameData(
        name="pictures",
        path=Path("pictures"),
        sha256="",
        source="yours",
        environment=None,
        attributes={},
        episode_returns=one.astype(np.float64),
        episode_lengths=one,
        episode_finished=one > 0,
        frames=frames,
    )
    with pytest.raises(ConfigError, match="of pictures no episode can be held out"):
        training_part(tiny_plan("bc", held_out_episodes=0.2).settings, data)
