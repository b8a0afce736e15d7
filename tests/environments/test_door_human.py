"""The door against people: 25 recorded demonstrations that nobody here made.

The recording is not part of the project; name it to run this file:

    LATENT_POLICIES_DOOR_HUMAN=door-human.hdf5 pytest tests/environments/test_door_human.py

Its columns are D4RL's, and `infos` holds the state in which each demonstration is
replayed: joints at zero, and the place of the door.
"""

import os
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from shared.environments.simulators import make_environment

FILE = os.environ.get("LATENT_POLICIES_DOOR_HUMAN")
pytestmark = pytest.mark.skipif(FILE is None, reason="LATENT_POLICIES_DOOR_HUMAN names no file")


class Recording(NamedTuple):
    """Rows; `position` is qpos as far as the observation tells it: all but the arm's slide."""

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    episode: np.ndarray
    frame: np.ndarray
    position: np.ndarray


@pytest.fixture(scope="module")
def people():
    with h5py.File(FILE) as file:
        ends = np.flatnonzero(file["timeouts"][:])
        observation = file["observations"][:].astype(float)
        position = np.zeros((len(observation), 30))
        position[:, 1:28], position[:, 29] = observation[:, :27], observation[:, 27]
        position[:, 28] = observation[:, 28]
        episode = np.searchsorted(ends, np.arange(len(observation)))
        assert not file["infos/init_qpos"][:].any() and not file["infos/init_qvel"][:].any()
        frame = file["infos/init_door_body_pos"][:]
        columns = file["actions"][:], file["rewards"][:]
    return Recording(observation, *columns, episode, frame, position)


@pytest.fixture(scope="module")
def door():
    task = make_environment("door")
    task.reset(seed=0)
    return task


def test_rewards_follow_from_the_recorded_observations(people):
    """D4RL's reward of the row that follows; only the small cost of speed is not observed."""
    row = np.flatnonzero(people.episode[1:] == people.episode[:-1])
    after = people.observation[row + 1]
    hinge, apart = after[:, 28], np.linalg.norm(after[:, 35:38], axis=1)
    bonus = 2 * (hinge > 0.2) + 8 * (hinge > 1.0) + 10 * (hinge > 1.35)
    missing = -0.1 * apart - 0.1 * (hinge - 1.57) ** 2 + bonus - people.reward[row]
    speed = (people.position[row + 1] - people.position[row])[:, 1:] / 0.01
    assert missing.min() > 0 and missing.max() < 0.03
    assert np.median(missing - 1e-5 * (speed**2).sum(axis=1)) < 1e-4
    assert (apart > 0.1).mean() > 0.3  # so the sign of its term is seen


def test_recorded_joints_give_the_recorded_palm_and_handle(people, door):
    """Forward kinematics of the model, all rows.

    Palm and handle are seen 0.002 s before the joints (a simulator step ends with the
    integration), and the slide of the arm is not observed but along one line.
    """
    row = np.flatnonzero(people.episode[1:] == people.episode[:-1])[::5] + 1
    wrong = []
    for t in row:
        door.model.body("frame").pos[:] = people.frame[people.episode[t]]
        position = people.position[t] - 0.2 * (people.position[t] - people.position[t - 1])
        position[0] = 0.0
        door.set_state(position, np.zeros(30))
        line = door.data.xaxis[door.model.joint("ARTz").id]
        position[0] = line @ (people.observation[t, 29:32] - door.data.site("S_grasp").xpos)
        door.set_state(position, np.zeros(30))
        wrong.append(np.abs(door.observe() - people.observation[t])[29:38].max())
    assert len(wrong) > 1000
    assert np.median(wrong) < 1e-4 and np.max(wrong) < 2e-3


def test_replayed_actions_return_what_was_recorded(people, door):
    """Open loop over whole demonstrations; contacts with the latch let a few part ways."""
    close, last_half = 0, []
    for episode in range(12):
        rows = np.flatnonzero(people.episode == episode)
        door.reset(seed=0)  # the solver starts from the same guess
        door.model.body("frame").pos[:] = people.frame[episode]
        door.set_state(np.zeros(30), np.zeros(30))
        return_, wrong = 0.0, []
        for t in rows:
            wrong.append(np.abs(door.observe() - people.observation[t])[:28].max())
            return_ += door.step(people.action[t])[1]
        recorded = people.reward[rows].sum(dtype=np.float64)
        close += abs(return_ - recorded) < 0.01 * abs(recorded) + 1
        last_half += wrong[60:]
    assert close >= 6, close
    assert np.median(last_half) < 0.06, np.median(last_half)
