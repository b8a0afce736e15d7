"""C-LAP from pixels at toy size: a recorded folder, training, resume, evaluation, films."""

import csv
import json
import shutil

import imageio.v3 as imageio
import jax
import numpy as np
import pytest
from click.testing import CliRunner
from contract.test_contract import leaves
from dreams import TINY, penalised_plan

import shared
from clap.cli import main
from clap.returns import data_returns
from shared.data.vd4rl.reader import read_vd4rl
from shared.data.vd4rl.writer import write_archive
from shared.datasets.frames import to_transitions
from shared.datasets.rows import make_dataset
from shared.environments.control import ControlSimulator
from shared.environments.rendering import FAST
from shared.errors import ConfigError, ObservationError
from shared.record.run_folder import RunFolder
from shared.runs import trained
from shared.runs.plan import make_plan
from shared.runs.run_record import observation_shape
from shared.training import paging, program

NAME = "walker_walk-medium"
MORE = {"observation": "pixels", "cnn_depth": 1, "cnn_patch": 4, "value_units": "data"}
SETTINGS = (
    TINY
    | MORE
    | {"data_bounds": True, "recorded_states": "remembered", "steps_per_call": 12, "save_every": 4}
)


def record(simulator, steps, seed):
    """An episode of random actions as V-D4RL stores it."""
    generator = np.random.default_rng(seed)
    simulator.reset(np.random.SeedSequence(seed))
    images, actions, rewards = [simulator.render(64)], [np.zeros(6)], [0.0]
    for action in generator.uniform(-1, 1, (steps, 6)):
        rewards.append(simulator.step(action).reward)
        actions.append(action)
        images.append(simulator.render(64))
    places = np.arange(steps + 1)
    return {
        "image": np.stack(images),
        "action": np.array(actions, np.float32),
        "reward": np.array(rewards, np.float32),
        "discount": np.ones(steps + 1, np.float32),
        "is_first": places == 0,
        "is_last": places == steps,
        "is_terminal": np.zeros(steps + 1, bool),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three short episodes, the last one shorter than a training window.

    Their record says how they were drawn, and so how an evaluation draws: at little cost.
    """
    path = tmp_path_factory.mktemp("vd4rl") / "walker_walk"
    path.mkdir()
    simulator = ControlSimulator("walker_walk", FAST)
    for i, steps in enumerate((20, 15, 5)):
        write_archive(path / f"{i}.npz", [record(simulator, steps, i)], "")
    simulator.physics.free()
    told = {"source": "collected", "render": json.dumps(FAST._asdict())}
    (path / "collected.json").write_text(json.dumps(told))
    return path


@pytest.fixture(scope="module")
def data(folder):
    return read_vd4rl(folder, name=NAME)


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A run by the command, which sees a folder and hence pixels; a page holds two updates."""
    out = tmp_path_factory.mktemp("runs") / "run"
    values = SETTINGS | {"evaluate_every": 1000, "frames": "mapped"}
    del values["observation"]
    pairs = [x for key, value in values.items() for x in ("--set", f"{key}={value}")]
    place = ["--data", str(folder), "--data-dir", str(out.parent), "--out", str(out)]
    arguments = ["train", "--env", NAME, "--seed", "5", *place]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "PAGE_BYTES", 1 << 20)
        result = CliRunner().invoke(main, [*arguments, *pairs])
    assert result.exit_code == 0, result.output
    assert "they are read from the host as needed" in result.output
    return out


def state_of(path, checkpoint=None):
    return trained.load_state(path, checkpoint=checkpoint)[3]


def test_the_record_says_what_the_policy_sees(finished, data):
    record = json.loads((finished / "run.json").read_text())
    sizes = {"observation_shape": [64, 64, 3], "action_size": 6}
    assert record["spec"] == sizes | {"action_range": None, "observation_offset": None}
    assert record["pixels"]["size"] == 64 and record["pixels"]["settings"] == FAST._asdict()
    assert (record["data"]["rows"], record["data"]["frames"]) == (40, 43)
    assert record["data"]["sha256"] == data.sha256 and record["source"] == "collected"
    rows = (finished / "scores.csv").read_text().splitlines()[1:]
    assert len(rows) == 2 and all(",500," in row for row in rows)  # one episode a mode


def test_a_resumed_run_equals_an_uninterrupted_one(finished, tmp_path):
    """Killed in the agent's phase, on frames that are read from the host."""
    again = tmp_path / "run"
    shutil.copytree(finished, again)
    names = RunFolder.open(again, write=False).checkpoints.names()
    shutil.rmtree(again / "checkpoints" / names[-1])
    arguments = ["train", "--resume", str(again), "--data-dir", str(tmp_path)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "PAGE_BYTES", 1 << 20)
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    for x, y in zip(leaves(state_of(again)), leaves(state_of(finished)), strict=True):
        np.testing.assert_array_equal(x, y)
    for table in ("metrics.csv", "scores.csv"):
        assert without_times(again / table) == without_times(finished / table)


def without_times(table):
    with open(table) as file:
        return [[v for k, v in row.items() if "second" not in k] for row in csv.DictReader(file)]


def test_pixels_stay_bytes_until_the_model(data):
    dataset = data.to_device()
    assert dataset.observation.dtype == np.uint8
    plan = make_plan("clap", "clap", NAME, overrides=SETTINGS)
    shapes = program.state_shapes(plan.build(), data.spec, (0,))
    assert shapes.normalizer.mean.shape == (1, 1, 1, 1)
    normalizer = program.init_state(plan.build(), data.spec, (0,)).normalizer
    one = jax.tree.map(lambda x: x[0], normalizer)
    np.testing.assert_allclose(
        one(dataset.observation[3]), data.frames.image[3] / 255 - 0.5, atol=1e-6
    )


def test_returns_of_frames_are_those_of_their_transitions(data):
    states = np.zeros((len(data.frames.episode), 1), np.float32)
    transitions, episode = to_transitions(data.frames._replace(state=states))
    rows = data_returns(make_dataset(transitions, episode), 0.9)
    for x, y in zip(rows, data_returns(data.to_device(), 0.9), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)


def test_the_policy_acts_on_frames_and_remembers(finished, data):
    policy = shared.load_policy(finished)
    first = policy.act(data.frames.image[0])
    assert first.shape == (6,) and np.abs(first).max() <= 1
    assert not np.array_equal(policy.act(data.frames.image[0]), first)  # it has moved since
    policy.reset()
    np.testing.assert_array_equal(policy.act(data.frames.image[0]), first)


def test_what_is_no_frame_is_refused_and_not_remembered(finished, data):
    """Real numbers, channels first, a part of one; and rows that remember for themselves."""
    frames = data.frames.image[:3]
    policy, batch = shared.load_policy(finished), shared.load_policy(finished)
    expected = []
    for frame in frames:
        wrong = [frame / np.float32(255), np.moveaxis(frame, -1, 0), frame[0], 0.0, [[1], [1, 2]]]
        for x in wrong:
            with pytest.raises(ObservationError, match="frame"):
                policy.act(x)
        with pytest.raises(ObservationError, match="the reward is nan"):
            policy.act(frame, reward=float("nan"))
        expected.append(policy.act(frame))
    for t, frame in enumerate(frames):
        pair = np.stack([frame, frames[2 - t]])
        with pytest.raises(ObservationError, match="float32 of shape"):
            batch.act_batch(pair / np.float32(255))
        with pytest.raises(ObservationError, match="ragged"):
            batch.act_batch([frame, frame[0]])
        np.testing.assert_allclose(batch.act_batch(pair)[0], expected[t], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "file", "height"), [("open-loop", "a.gif", 416), ("dream", "b.gif", 144)]
)
def test_films_can_be_read(finished, tmp_path, name, file, height):
    arguments = ["figures", name, str(finished), "--out", str(tmp_path / file)]
    result = CliRunner().invoke(main, [*arguments, "--horizon", "6", "--episodes", "2"])
    assert result.exit_code == 0 and "predicted reward " in result.output, result.output
    frames = imageio.imread(tmp_path / file)
    assert frames.shape[0] == 11 and frames.shape[1] == height and frames.std() > 10


@pytest.mark.parametrize(("name", "kind"), [("offline-dv2", "discrete"), ("lompo", "gaussian")])
def test_penalised_dreamers_learn_from_frames(data, name, kind):
    """Shapes alone: every program of a run on recorded frames gives back the state it is given."""
    cnn = {"observation": "pixels", "cnn_depth": 1, "cnn_patch": 4, "stochastic_kind": kind}
    algorithm = penalised_plan(name, NAME, **cnn).build()
    every = program.state_shapes(algorithm, data.spec, (0,))
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), every)
    given = state, data.to_device(), jax.random.key(0), np.zeros((), np.int32)
    start = program.one_event.eval_shape(algorithm, 1, program.START, *given)
    updates = [program.one_update.eval_shape(algorithm, index, *given) for index in (0, 1)]
    for after, _ in (start, *updates):
        assert jax.tree.structure(after) == jax.tree.structure(state)
        for x, y in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype)


def test_what_cannot_see_pixels_is_told():
    with pytest.raises(ConfigError, match="'rebrac' learns from states"):
        make_plan("cnf", "rebrac", NAME, overrides={"observation": "pixels"})
    assert observation_shape({"spec": {"observation_size": 11}}) == (11,)
