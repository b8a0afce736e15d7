"""Folders of frames that others wrote: other keys, states of tasks that are not in the table."""

import h5py
import numpy as np
import pytest

from shared.errors import DataError
from shared.loading.request import DataRequest, load_data

ROWS = 7


def episode(seed, **more):
    """Rows of a task with the parts of cartpole's state, action and reward that led to them."""
    generator = np.random.default_rng(seed)
    action = generator.uniform(-1, 1, (ROWS, 1)).astype(np.float32)
    action[0] = 0
    return {
        "action": action,
        "reward": np.where(np.arange(ROWS) > 0, generator.uniform(size=ROWS), 0).astype("f4"),
        "is_first": np.arange(ROWS) == 0,
        "position": generator.normal(size=(ROWS, 3)).astype(np.float32),
        "velocity": generator.normal(size=(ROWS, 2)),
        "log_prob": generator.normal(size=ROWS).astype(np.float32),
        **more,
    }


def picture(seed, size=48):
    return np.random.default_rng(seed).integers(0, 256, (ROWS, size, size, 3), np.uint8)


@pytest.fixture(params=["image", "observation", "pixels"])
def folder(request, tmp_path):
    for k in range(2):
        np.savez(tmp_path / f"{k}.npz", **episode(k), **{request.param: picture(k)})
    return tmp_path


def test_pictures_by_any_name_and_every_state_are_found(folder):
    assert DataRequest(None, folder).default_observation() == "pixels"
    seen = load_data(None, data=folder, observation="pixels")
    assert np.array_equal(seen.frames.image, np.concatenate([picture(0), picture(1)]))
    assert (seen.source, seen.environment, seen.pixels.size) == ("yours", None, 48)
    states = load_data(None, data=folder).transitions
    expected = np.concatenate([np.c_[x["position"], x["velocity"]] for x in map(episode, (0, 1))])
    assert states.observation.shape == (12, 5)
    assert np.allclose(states.observation[:6], expected[:6])
    assert np.allclose(states.next_observation[6:], expected[8:])


def test_the_task_says_which_columns_are_its_state(folder):
    """In its own order, scored as such; another task's states are refused."""
    data = load_data("dm_control/cartpole-swingup", data=folder)
    assert data.environment == "dm_control/cartpole-swingup" and not data.note
    assert data.transitions.observation.shape == (12, 5)
    with pytest.raises(DataError, match="key 'position' has shape .7, 3., not 8 values"):
        load_data("cheetah_run", data=folder)


def test_shards_may_have_the_flags_and_pictures_of_archives(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for key, x in (episode(3) | {"image": picture(3).transpose(0, 3, 1, 2)}).items():
            file[key] = x
    data = load_data(None, data=tmp_path / "a.hdf5", observation="pixels")
    assert np.array_equal(data.frames.image, picture(3)) and data.episode_lengths.tolist() == [6]
    assert data.frames.state.shape == (7, 5)
