"""Tasks by their own package's name: found, recorded, trained on, scored and filmed."""

import csv
import json

import gymnasium
import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
from click.testing import CliRunner

from cnf.cli import main
from shared.behavior.collector import Collector
from shared.behavior.open_simulator import OpenSimulator
from shared.behavior.snapshots import save_npz
from shared.data import catalog
from shared.environments import open_tasks
from shared.environments.control import ControlSimulator
from shared.environments.frames_environment import squared
from shared.environments.scores import normalized_score
from shared.environments.tasks import environments
from shared.errors import ConfigError, DataError
from shared.loading.request import load_data
from shared.record.run_folder import RunFolder

CARTPOLE, REACHER, PENDULUM = (
    *("dm_control/cartpole-swingup", "gymnasium/Reacher-v4", "gymnasium/Pendulum-v1"),
)
TRAIN = "--algo bc --steps 2 --set batch_size=8 --set steps_per_call=2 --set episodes=1"


def run(words, code=0):
    answer = CliRunner().invoke(main, words.split())
    assert answer.exit_code == code, answer.output + repr(answer.exception)
    return " ".join(answer.output.split())


def test_a_task_is_found_with_its_own_sizes():
    """State, limit and motors of cartpole are those that dm_control documents."""
    task = environments()[CARTPOLE]
    assert (task.observation_size, task.action_size, task.horizon) == (5, 1, 500)
    assert normalized_score(f"{CARTPOLE}-medium_expert", 250.0) == 25
    assert environments()["dm_control/walker-walk"] is environments()["walker_walk"]
    assert CARTPOLE in environments() and CARTPOLE not in list(environments())
    pendulum = environments()[PENDULUM]
    assert (pendulum.observation_size, pendulum.horizon) == (3, 200)
    assert np.isnan(normalized_score(PENDULUM, 3.0))
    assert catalog.lookup("dm_control/walker-walk-medium") is catalog.CATALOG["walker_walk-medium"]


UNKNOWN = {
    "no dm_control task 'dm_control/cartpole-swim'; choose one of .*cartpole-balance": (
        "dm_control/cartpole-swim"
    ),
    "gymnasium cannot make 'Nothing-v3' .*correct the id": "gymnasium/Nothing-v3",
    "has the action space Discrete.2., but policies act by a Box": "gymnasium/CartPole-v1",
    "choose a quality of random, medium, medium-replay": "gymnasium/Pendulum-v1-great",
}


@pytest.mark.parametrize("words", UNKNOWN)
def test_what_nobody_knows_is_told(words):
    with pytest.raises((ConfigError, DataError), match=words):
        catalog.lookup_own(UNKNOWN[words])


def test_an_end_that_is_final():
    """The linear regulator ends for good where it comes to rest."""
    simulator = ControlSimulator("dm_control/lqr-lqr_2_1")
    simulator.reset(np.random.SeedSequence(0))
    simulator.set_state(np.zeros_like(simulator.get_state()))
    outcome = simulator.step(np.zeros(1))
    assert outcome.terminal and not outcome.timeout
    simulator.physics.free()


def test_pixels_are_means_of_what_they_cover():
    picture = np.arange(6 * 4 * 3).reshape(6, 4, 3).astype(np.uint8)
    small = squared(picture, 2)
    exact = picture.reshape(2, 3, 2, 2, 3).mean(axis=(1, 3))
    assert small.shape == (2, 2, 3) and np.abs(small - exact).max() <= 1
    assert squared(picture, 12).shape == (12, 12, 3)


def test_a_state_is_the_episode_played_again():
    one, two = (OpenSimulator(PENDULUM) for _ in range(2))
    one.reset(np.random.SeedSequence(3))
    actions = np.random.default_rng(0).uniform(-1, 1, (9, 1))
    for action in actions[:5]:
        one.step(action)
    assert np.array_equal(two.set_state(one.get_state()), one.observe_parts()["state"])
    for action in actions[5:]:
        a, b = one.step(action), two.step(action)
        assert np.array_equal(a.observation, b.observation) and a.reward == b.reward
    rows = Collector(PENDULUM, 2, 0).collect(None, 8, np.random.default_rng(0))
    assert np.abs(rows.action).max() <= 1 and rows.observation.shape == (8, 3)


def test_states_are_recorded_and_trained_on_in_the_robots_own_units(tmp_path):
    """Of the pendulum a command is up to 2 N m, and the return of every episode is scored."""
    place = f"--data-dir {tmp_path}"
    run(f"data collect {PENDULUM}-random --rows 300 --workers 1 {place}")
    data = load_data(f"{PENDULUM}-random", data_dir=tmp_path, rows=300)
    with h5py.File(data.path) as file:
        assert 1.9 < np.abs(file["actions"][:]).max() <= 2 and file.attrs["action_low"] == [-2]
    assert np.abs(data.transitions.action).max() <= 1 and data.source == "collected"
    small = "--set rows=300 --set hidden_sizes=[8]"
    run(f"train --env {PENDULUM}-random {TRAIN} {small} {place} --out {tmp_path}/run")
    with open(tmp_path / "run" / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["length"]) for row in rows} == {200} and float(rows[0]["return"]) < 0


def test_policies_of_ones_own_record(tmp_path):
    """A linear policy in the form of `train-behavior`'s file; another task's is refused."""
    weights = {"expert/weight0": np.float16([[0, 0, 0, 0, 1], [0] * 5]), "expert/bias0": [0, -9]}
    about = {"environment_steps": 1, "returns": {}}
    record = {"environment": CARTPOLE, "policies": {"expert": about}}
    file = tmp_path / "behavior" / "dm_control-cartpole-swingup.npz"
    arrays = {key: np.float16(x) for key, x in weights.items()}
    save_npz(file, arrays | {"record": np.array(json.dumps(record))})
    data = load_data(f"{CARTPOLE}-expert", data_dir=tmp_path, rows=500)
    assert data.rows == 500 and data.environment == CARTPOLE
    velocity, action = data.transitions.observation[:, 4], data.transitions.action[:, 0]
    assert np.corrcoef(np.tanh(velocity), action)[0, 1] > 0.9
    words = f"data collect {REACHER}-expert --rows 50 --behavior {file} --data-dir {tmp_path}"
    answer = CliRunner().invoke(main, words.split())
    assert "holds policies of 'dm_control/cartpole-swingup'" in answer.output
    words = f"data collect {PENDULUM}-expert --rows 50 --data-dir {tmp_path}"
    assert "train-behavior" in CliRunner().invoke(main, words.split()).output


class Light(gymnasium.Env):
    """A lamp of real numbers whose picture is as bright as it is; it ends when it is out."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(np.float32([0]), np.float32([5]))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        self._x = np.random.default_rng(seed).uniform(0.5, 1, 2)
        return self._x, {}

    def step(self, command):
        self._x = self._x - 0.2 * np.array([command[0] / 5, 0.1])
        return self._x, float(self._x[0]), bool(self._x[0] < 0.2), False, {}

    def render(self):
        shade = np.clip(255 * self._x, 0, 255).astype(np.uint8)
        return np.tile(np.repeat(shade, 16), (24, 1))[..., None].repeat(3, axis=-1)


@pytest.fixture
def light():
    gymnasium.register("Light-v0", Light, max_episode_steps=8)
    yield "gymnasium/Light-v0"
    gymnasium.registry.pop("Light-v0")
    open_tasks.sizes.cache_clear()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio leaves pipes open
def test_frames_are_recorded_trained_on_scored_and_filmed(light, tmp_path):
    """A simulator that only knows states and pictures, from pixels and in its own units."""
    place = f"--data-dir {tmp_path}"
    run(f"data collect {light}-random --frames 30 --workers 1 --out {tmp_path}/frames {place}")
    data = load_data(light, data=tmp_path / "frames", observation="pixels")
    image, state = data.frames.image, data.frames.state
    assert image.shape[0] >= 30 and image.shape[1:] == (64, 64, 3) and state.shape[1] == 2
    shades = np.clip(255 * state, 0, 255).astype(np.uint8)
    assert np.array_equal(image[:, 5, [0, 63], 0], shades)  # each row's picture is its state's
    assert data.episode_lengths.min() < data.episode_lengths.max() <= 8
    ended = np.bincount(data.frames.episode, data.frames.terminal) > 0
    last = np.flatnonzero(~data.frames.acted)
    assert np.array_equal(ended, state[last, 0] < 0.2) and ended.any()
    assert data.action_range[1].tolist() == [5] and np.abs(data.frames.action).max() <= 1
    small = "--set cnn_depth=1 --set cnn_patch=8 --set hidden_sizes=[8] --set feature_size=8"
    words = f"--env {light} --data {tmp_path}/frames --observation pixels {small} {place}"
    run(f"train {words} {TRAIN} --out {tmp_path}/run")
    record = RunFolder.open(tmp_path / "run", write=False).record
    assert record["environment"] == light and record["spec"]["observation_shape"] == [64, 64, 3]
    with open(tmp_path / "run" / "scores.csv") as file:
        assert len(list(csv.DictReader(file))) == 2
    said = run(f"evaluate {tmp_path}/run --episodes 1 --seed 0 --video {tmp_path}/film.gif")
    assert "film.gif" in said and imageio.imread(tmp_path / "film.gif").std() > 10
