"""Collected files: D4RL's form, exact sizes, and the same bytes for any number of workers."""

import hashlib
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from shared.behavior.policies import load_behavior, training_snapshots
from shared.behavior.record import dataset_names, plan, record
from shared.behavior.simulator import Simulator
from shared.errors import DataError


def read(path):
    with h5py.File(path) as file:
        data = {}
        file.visititems(
            lambda name, x: data.update({name: x[:]}) if isinstance(x, h5py.Dataset) else None
        )
        return data, dict(file.attrs)


@pytest.fixture(scope="module")
def hopper(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "hopper-random.hdf5"
    seen = []
    made = record("hopper-random", 3000, seed=7, path=path, progress=lambda *x: seen.append(x))
    return made, seen


def test_form(hopper):
    data, attributes = read(hopper[0].path)
    widths = {"observations": 11, "actions": 3, "next_observations": 11}
    widths |= {"infos/qpos": 6, "infos/qvel": 6}
    for name, width in widths.items():
        assert data[name].shape == (3000, width) and data[name].dtype == np.float32, name
    assert data["rewards"].shape == (3000,) and data["rewards"].dtype == np.float32
    for name in ("terminals", "timeouts"):
        assert data[name].shape == (3000,) and data[name].dtype == bool
    assert set(data) == {*widths, "rewards", "terminals", "timeouts"}
    assert attributes["source"] == "collected" and "not D4RL" in attributes["protocol"]
    assert (attributes["dataset"], attributes["rows"], attributes["seed"]) == (
        "hopper-random",
        3000,
        7,
    )
    assert attributes["environment"] == "Hopper-v4"
    assert attributes["behavior_weights_sha256"] == "none"
    assert json.loads(attributes["segments"])[0]["rows"] == 3000
    assert json.loads(attributes["versions"])["mujoco"]


def test_episode_boundaries(hopper):
    data, _ = read(hopper[0].path)
    ends = data["terminals"] | data["timeouts"]
    assert ends[-1] and ends.sum() == hopper[0].episodes
    assert not (data["terminals"] & data["timeouts"]).any()
    inside = ~ends[:-1]
    following = data["observations"][1:]
    np.testing.assert_array_equal(data["next_observations"][:-1][inside], following[inside])
    # Where an episode ends, the next observation is its own and not the next reset's.
    assert (data["next_observations"][:-1][~inside] != following[~inside]).any(axis=1).all()
    np.testing.assert_array_equal(data["observations"][:, 0], data["infos/qpos"][:, 1])


def test_rows_replay_in_the_simulator(hopper):
    """Stored states, actions and rewards belong to the same rows."""
    data, _ = read(hopper[0].path)
    env = Simulator("hopper").env
    env.reset(seed=0)
    for t in (0, 5, 1234):
        env.set_state(data["infos/qpos"][t].astype(float), data["infos/qvel"][t].astype(float))
        observation, reward, terminal, _, _ = env.step(data["actions"][t])
        np.testing.assert_allclose(observation, data["next_observations"][t], atol=1e-3)
        assert reward == pytest.approx(data["rewards"][t], abs=1e-3)
        assert terminal == data["terminals"][t]


def test_progress_and_hash(hopper):
    made, seen = hopper
    assert seen[-1] == (3000, 3000) and seen == sorted(seen)
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert [p.name for p in made.path.parent.iterdir()] == ["hopper-random.hdf5"]


def test_same_bytes_for_one_and_two_workers(hopper, tmp_path):
    again = record("hopper-random", 3000, seed=7, path=tmp_path / "two.hdf5", workers=2)
    assert again.sha256 == hopper[0].sha256
    other = record("hopper-random", 3000, seed=8, path=tmp_path / "other.hdf5")
    assert other.sha256 != hopper[0].sha256


def test_a_flipped_bit_is_a_read_error(hopper, tmp_path):
    data, _ = read(hopper[0].path)
    content = bytearray(hopper[0].path.read_bytes())
    place = content.find(data["observations"][100:103].tobytes())
    content[place + 5] ^= 4
    (tmp_path / "broken.hdf5").write_bytes(content)
    with h5py.File(tmp_path / "broken.hdf5") as file, pytest.raises(OSError):
        file["observations"][:]


def test_time_limit_is_a_timeout(tmp_path):
    made = record("halfcheetah-random", 2500, seed=0, path=tmp_path / "x.hdf5")
    data, _ = read(made.path)
    assert not data["terminals"].any()
    assert np.flatnonzero(data["timeouts"]).tolist() == [999, 1999, 2499]


def test_replay_follows_the_training(tmp_path):
    names = training_snapshots("hopper", "medium")
    steps = [load_behavior("hopper", name).environment_steps for name in names]
    assert names[-1] == "medium" and steps == sorted(set(steps)) and len(names) >= 6
    segments = plan("hopper-medium-replay", 2000)
    assert tuple(s.policy for s in segments) == names
    assert sum(s.rows for s in segments) == 2000
    one = record("hopper-medium-replay", 2000, seed=1, path=tmp_path / "a.hdf5")
    two = record("hopper-medium-replay", 2000, seed=1, path=tmp_path / "b.hdf5", workers=2)
    assert one.sha256 == two.sha256
    data, attributes = read(one.path)
    cuts = np.cumsum([s.rows for s in segments]) - 1
    assert (data["terminals"] | data["timeouts"])[cuts].all()
    assert len(attributes["behavior_weights_sha256"]) == 64


def test_another_processor_records_the_same_bits(tmp_path):
    """BLAS takes the kernels of a processor that it is told to see, NumPy leaves out its newest."""
    script = (
        "from pathlib import Path; from shared.behavior.record import record; import sys; "
        "print(record('hopper-medium-replay', 2000, seed=1, path=Path(sys.argv[1])).sha256)"
    )
    found = set()
    for name, variables in {
        "own": {},
        "old": {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "AVX512_ICL X86_V4"},
    }.items():
        words = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / f"{name}.hdf5")]
        told = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        found.add(told.stdout.strip())
    assert len(found) == 1


def test_medium_expert_halves():
    first, second = plan("hopper-medium-expert", 2001)
    assert (first.policy, second.policy) == ("medium", "expert")
    assert (first.rows, second.rows) == (1000, 1001)


@pytest.mark.parametrize("name", ["hopper", "ant-random", "hopper-good", "hopper-random-v2"])
def test_unknown_names_are_refused(name, tmp_path):
    with pytest.raises(DataError, match="choose one of"):
        record(name, 10, seed=0, path=tmp_path / "x.hdf5")


def test_bad_numbers_are_refused(tmp_path):
    for rows, seed, workers in ((0, 0, 1), (10, -1, 1), (10, 0, 0)):
        with pytest.raises(DataError):
            record("hopper-random", rows, seed=seed, path=tmp_path / "x.hdf5", workers=workers)
    assert len(dataset_names()) == 30 + 15 + 26
