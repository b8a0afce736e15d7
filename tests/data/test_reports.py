"""What users of this field reported: each kind of input gives the right rows, or one sentence."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli.data import data_group
from shared.cli.train import train_command
from shared.data.convert import convert
from shared.data.files.minari_reader import read_minari
from shared.data.reader import examine, read_states
from shared.data.recording.units import Options
from shared.data.vd4rl.reader import read_vd4rl
from shared.errors import DataError
from shared.loading.request import DataRequest, load_data
from shared.runs.trained import load_policy

KEYS = ("observations", "actions", "rewards", "terminals", "timeouts", "next_observations")


def episodes(count, length, n=2, seed=0):
    """A point with drag that is pushed towards the middle: position and velocity, no terminals."""
    found = []
    for k in range(count):
        g = np.random.default_rng(100 * seed + k)
        x, v, rows = g.normal(size=n), np.zeros(n), []
        for t in range(length):
            a = np.clip(-0.5 * x + 0.4 * g.normal(size=n), -1, 1)
            before = np.append(x, v)
            v = v + 0.1 * (a - v)
            x = x + 0.1 * v
            rows.append((before, a, -abs(x[0]), False, t == length - 1, np.append(x, v)))
        columns = (np.array(x) for x in zip(*rows, strict=True))
        kinds = ("f4", "f4", "f4", bool, bool, "f4")
        found.append({k: x.astype(d) for k, x, d in zip(KEYS, columns, kinds, strict=True)})
    return found


def flat(parts):
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def without(arrays, *keys):
    return {key: x for key, x in arrays.items() if key not in keys}


def told(data, words):
    return any(words in sentence for sentence in data.warnings)


# Ends


@pytest.mark.parametrize("shift", [3, -4, 11])
def test_shifted_flags_are_found_and_can_be_moved(write, shift):
    arrays = without(flat(episodes(12, 50)), "next_observations")
    path = write(arrays | {"timeouts": np.roll(arrays["timeouts"], shift)})
    rows = f"{abs(shift)} rows {'late' if shift > 0 else 'early'}"
    assert told(read_states(path), rows) and told(read_states(path), "--set cut_jumps=true")
    mended = load_data(None, data=path, cut_jumps=True)
    assert mended.episode_lengths.tolist() == [50] * 12 and mended.cut_jumps
    assert told(mended, f"flags are moved by {-shift} rows")


def test_jumps_without_a_flag_are_counted_and_can_be_cut(write, tmp_path):
    arrays = without(flat(episodes(10, 30)), "next_observations")
    ends = np.flatnonzero(arrays["timeouts"])
    arrays["timeouts"][ends[1::2]] = False
    path = write(arrays)
    assert read_states(path).episode_lengths.tolist() == [30] + [60] * 4 + [30]
    assert told(read_states(path), f"first {ends[1]}")
    cut = read_states(path, options=Options(cut_jumps=True))
    assert cut.episode_lengths.tolist() == [30] * 10 and cut.rows == 290
    convert(path, tmp_path / "cut.npz", options=Options(cut_jumps=True))
    again = read_states(tmp_path / "cut.npz")
    assert again.episode_lengths.tolist() == [30] * 10 and not told(again, "jump")


def test_successors_across_a_reset_are_left_out_when_jumps_are_cut(write):
    """`next_observations` that are the next row's everywhere hold the resets, too."""
    arrays = flat(episodes(10, 30))
    arrays["next_observations"] = np.roll(arrays["observations"], -1, axis=0)
    arrays["timeouts"][:] = np.arange(300) == 299
    path = write(arrays)
    assert told(read_states(path), "9 of 299 rows without an end flag")
    data = read_states(path, options=Options(cut_jumps=True))
    step = np.abs(data.transitions.next_observation - data.transitions.observation)[:-1]
    assert data.rows == 291 and step[:, :2].max() < 0.1


ENDS = {  # another name: its values of two episodes of 20 rows, the first of which is terminal
    "episode_terminals": lambda end: end.astype("f4"),
    "is_last": lambda end: end,
    "episode_starts": lambda end: np.roll(end, 1),
    "episode_ids": lambda end: np.cumsum(np.roll(end, 1)),
    "truncated": lambda end: end & (np.arange(40) > 20),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_under_another_name(write, name):
    arrays = without(flat(episodes(2, 20)), "next_observations")
    end = arrays.pop("timeouts")
    arrays["terminals"][19] = True
    data = read_states(write(arrays | {name: ENDS[name](end)}))
    assert data.episode_lengths.tolist() == [20, 20] and told(data, f"key '{name}' is read as")
    assert data.episode_finished.all() and np.flatnonzero(data.transitions.terminal).tolist() == [
        19
    ]


def fillers(parts):
    """Between two episodes one row that leads from the last observation to the reset."""
    g, found = np.random.default_rng(0), []
    for this, following in zip(parts, [*parts[1:], None], strict=True):
        found.append(this)
        if following is not None:
            found.append(
                {
                    "observations": this["next_observations"][-1:],
                    "actions": g.uniform(-1, 1, (1, 2)).astype("f4"),
                    "rewards": np.zeros(1, "f4"),
                    "terminals": np.zeros(1, bool),
                    "timeouts": np.zeros(1, bool),
                    "next_observations": following["observations"][:1],
                }
            )
    return flat(found)


def test_filler_rows_of_an_autoreset_are_dropped(write, tmp_path):
    parts = episodes(10, 20)
    whole = read_states(write(flat(parts), name="whole.hdf5")).transitions
    path = write(fillers(parts))
    data = read_states(path)
    for mine, theirs in zip(data.transitions, whole, strict=True):
        assert np.array_equal(mine, theirs)
    assert data.episode_lengths.tolist() == [20] * 10 and told(data, "9 rows behind the ends")
    convert(path, tmp_path / "out.npz")
    assert read_states(tmp_path / "out.npz").warnings == ()


def test_filler_rows_are_the_successors_where_there_are_no_others(write):
    parts = episodes(10, 20)
    data = read_states(write(without(fillers(parts), "next_observations")))
    whole = flat(parts)
    assert data.rows == 199  # of the last row nobody knows what it led to
    for mine, key in zip(data.transitions, without(whole, "timeouts"), strict=False):
        assert np.array_equal(mine, whole[key][:199]), key
    assert np.array_equal(data.transitions.next_observation, whole["next_observations"][:199])


def test_a_trajectory_that_goes_on_has_no_fillers(write):
    """Zero rewards behind a time limit, and no jump: rows like any other."""
    arrays = flat(episodes(1, 200))
    arrays["timeouts"][:] = np.arange(200) % 20 == 19
    arrays["rewards"][20::20] = 0
    assert read_states(write(without(arrays, "next_observations"))).episode_lengths.sum() == 200


# Derived rows


@pytest.mark.parametrize("algorithm", ["onestep", "rebrac"])
def test_no_row_has_a_next_action(write, tmp_path, algorithm):
    path = write(without(flat(episodes(60, 2)), "next_observations"))
    command = ["--algo", algorithm, "--data", path, "--preset", "quick", "--out", tmp_path / "run"]
    result = CliRunner().invoke(train_command("cnf"), [str(x) for x in command])
    assert isinstance(result.exception, DataError) and result.exception.exit_code == 3
    assert "no row of the data has a next action" in str(result.exception)
    assert not (tmp_path / "run").exists()


# Numbers


def test_columns_far_from_zero_keep_their_values(write, tmp_path):
    arrays = without(flat(episodes(20, 50)), "next_observations")
    far = arrays["observations"].astype("f8") * 0.01
    far[:, 0] += 5e5
    path = write(arrays | {"observations": far})
    data = read_states(path)
    assert data.observation_offset.shape == (4,) and not data.observation_offset[1:].any()
    back = data.transitions.observation.astype("f8") + data.observation_offset
    inside = np.arange(1000) % 50 != 49  # rows that have a successor
    assert np.abs(back - far[inside]).max() < 1e-8
    assert len(np.unique(data.transitions.observation[:, 0])) > 900
    for name in ("copy.npz", "copy-v0"):
        again = read_states(
            convert(path, tmp_path / name, form=None if "." in name else "minari").path
        )
        assert np.array_equal(again.observation_offset, data.observation_offset)
        assert np.array_equal(again.transitions.observation, data.transitions.observation)


def test_what_float32_loses_is_told_where_a_simulator_shows_the_same(write):
    """Of a known task nothing is shifted: its simulator would not be."""
    g = np.random.default_rng(0)
    arrays = {
        "observations": 5e5 + 0.01 * g.normal(size=(200, 11)),
        "actions": g.uniform(-1, 1, (200, 3)).astype("f4"),
        "rewards": g.normal(size=200).astype("f4"),
        "terminals": np.zeros(200, bool),
        "timeouts": np.arange(200) % 50 == 49,
    }
    path = write(arrays)
    data = read_states(path, name="hopper")
    assert data.observation_offset is None and told(data, "of 200 different values in column")
    assert read_states(path).observation_offset is not None


def train(path, out, *more):
    command = ["--algo", "bc", "--data", path, "--preset", "quick", "--out", out]
    command += ["--set", "hidden_sizes=[32]", *more]
    result = CliRunner().invoke(train_command("cnf"), [str(x) for x in command])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return out


def test_a_column_of_a_tiny_unit_decides(write, tmp_path):
    """The action is the sign of a number of size 1e-6; the other columns are noise."""
    g = np.random.default_rng(0)
    sign = np.sign(g.normal(size=(2000, 1)))
    arrays = {
        "observations": np.concatenate([sign * 1e-6, g.normal(size=(2000, 2))], 1).astype("f4"),
        "actions": (0.8 * sign).astype("f4"),
        "rewards": g.normal(size=2000).astype("f4"),
        "terminals": np.zeros(2000, bool),
        "timeouts": np.arange(2000) % 50 == 49,
    }
    run = train(write(arrays), tmp_path / "run", "--steps", 300, "--set", "learning_rate=0.003")
    policy = load_policy(run)
    for x in (1e-6, -1e-6):
        assert policy.act(np.array([x, 0.3, -0.2]))[0] == pytest.approx(0.8 * np.sign(x), abs=0.1)


def test_a_policy_subtracts_what_its_data_are_kept_without(write, tmp_path):
    arrays = without(flat(episodes(20, 50)), "next_observations")
    far = arrays["observations"].astype("f8") * 0.01
    far[:, 0] += 5e5
    run = train(write(arrays | {"observations": far}), tmp_path / "run", "--steps", 200)
    offset = json.loads((run / "run.json").read_text())["spec"]["observation_offset"]
    assert offset == pytest.approx([5e5, 0, 0, 0], abs=0.02) and offset[1:] == [0, 0, 0]
    policy = load_policy(run)
    left, right = (policy.act(np.array([5e5 + x, 0, 0, 0]))[0] for x in (-0.01, 0.01))
    assert left - right > 0.3  # the data push towards the middle with half the distance


def test_all_faults_are_told_at_once(write, monkeypatch):
    arrays = flat(episodes(20, 50))
    arrays["observations"][7, 1] = np.nan
    arrays["rewards"][arrays["timeouts"]] = np.nan
    arrays["actions"] *= 7.5
    path = write(arrays)
    faults = {fault.name: fault.sentence for fault in examine(path).faults}
    assert set(faults) == {"non-finite", "action-range"}
    for words in ("'observations' is not finite in 1 of 1,000", "row 7, column 1", "20 of 1,000"):
        assert words in faults["non-finite"]
    monkeypatch.setenv("COLUMNS", "120")
    result = CliRunner().invoke(data_group, ["inspect", str(path), "--no-plot"])
    assert "20 episodes (0 unfinished)" in result.output and "nan" not in result.output
    assert result.output.count("error ") == 2 and result.exit_code == 1
    assert isinstance(result.exception, DataError)


def test_faults_of_numbers_are_told_beside_those_of_the_form(write):
    arrays = without(flat(episodes(20, 50)), "terminals")
    arrays["rewards"][3] = np.nan
    names = [fault.name for fault in examine(write(arrays)).faults]
    assert names == ["missing-key", "non-finite"]


# Layouts


def demos(path, parts, **changes):
    with h5py.File(path, "w") as file:
        for k, part in enumerate(parts):
            group = file.create_group(f"data/demo_{k}")
            group["actions"], group["rewards"] = part["actions"], part["rewards"]
            group["dones"], group["states"] = part["timeouts"].astype("i8"), part["observations"]
            group["obs/velocity"] = part["observations"][:, 2:]
            group["obs/arm0/position"] = part["observations"][:, :2]
            group["obs/agentview_image"] = np.zeros((len(part["rewards"]), 4, 4, 3), np.uint8)
            for key, x in changes.items():
                group[key] = x(part)
    return path


def test_robomimic_demos_are_episodes(tmp_path):
    parts = episodes(12, 20)
    data = read_states(demos(tmp_path / "demos.hdf5", parts))
    assert data.episode_lengths.tolist() == [20] * 12 and data.rows == 12 * 19
    wanted = np.concatenate([x["observations"][:-1] for x in parts])
    assert np.array_equal(data.transitions.observation, wanted)  # in the order of their numbers
    assert not data.transitions.terminal.any() and told(data, "'dones' is true at the end of every")
    successors = {"next_obs/velocity": lambda x: x["next_observations"][:, 2:]}
    successors["next_obs/arm0/position"] = lambda x: x["next_observations"][:, :2]
    whole = read_states(demos(tmp_path / "whole.hdf5", parts, **successors))
    assert whole.rows == 240
    assert np.array_equal(whole.transitions.next_observation, flat(parts)["next_observations"])


def test_a_demo_that_ends_in_success_is_terminal(tmp_path):
    parts = episodes(3, 20)
    for part in parts:
        part["rewards"] = (np.arange(20) == 19).astype("f4")
    data = read_states(demos(tmp_path / "demos.hdf5", parts))
    assert np.flatnonzero(data.transitions.terminal).tolist() == [
        19,
        39,
    ]  # the last has no successor


@pytest.mark.parametrize("form", ["hdf5", "npz"])
def test_numbered_keys_are_episodes(write, tmp_path, form):
    parts, arrays = episodes(11, 20), {}
    for k, part in enumerate(parts):
        last = part["next_observations"][-1:]
        arrays[f"observations_{k}"] = np.concatenate([part["observations"], last])
        arrays[f"actions_{k}"], arrays[f"rewards_{k}"] = part["actions"], part["rewards"][:, None]
        arrays[f"terminated_{k}"] = np.bool_(k == 10)
    if form == "npz":
        path = tmp_path / "numbered.npz"
        np.savez(path, **arrays)
    else:
        path = write(arrays)
    data, whole = read_states(path), flat(parts)
    assert data.rows == 220 and np.array_equal(data.transitions.action, whole["actions"])
    assert np.array_equal(data.transitions.next_observation, whole["next_observations"])
    assert np.flatnonzero(data.transitions.terminal).tolist() == [219]


def test_episodes_apart_must_be_alike(write):
    arrays = {"traj_0/obs": np.zeros((5, 2)), "traj_0/actions": np.zeros((5, 1), "f4")}
    arrays |= {"traj_0/rewards": np.zeros(4, "f4")}
    with pytest.raises(
        DataError, match="episode 'traj_0' has parts of different lengths .*actions 5"
    ):
        read_states(write(arrays))
    arrays["traj_0/rewards"] = np.zeros(5, "f4")
    other = {"obs": np.zeros((5, 3)), "actions": np.zeros((5, 1)), "rewards": np.zeros(5)}
    with pytest.raises(DataError, match="'observations' has 3 values a row in one episode, but 2"):
        read_states(write(arrays | {f"traj_1/{key}": x for key, x in other.items()}))
    arrays |= {"traj_1/actions": np.zeros((5, 1), "f4"), "traj_1/rewards": np.zeros(5, "f4")}
    with pytest.raises(DataError, match="episode 'traj_1' lacks 'observations' of the first one"):
        read_states(write(arrays))


@pytest.mark.parametrize(
    "content", [b"x,v,u\n1,2,3\n", b"0.1;0.2\n", b"PAR1....", b"#ROSBAG V2.0\n"]
)
def test_other_formats_get_the_advice_that_fits(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content)
    named, rows = "write a small YAML that names", "write its columns to HDF5 as 'observations'"
    words = rows if content.startswith(b"#ROSBAG") else named
    with pytest.raises(DataError, match=words) as caught:
        read_states(path)
    assert "\n" not in str(caught.value)


# Ranges of commands


@pytest.fixture
def commands(write):
    """A file of commands between -2 and 1 and between 0 and 4, and what they are in [-1, 1]."""
    arrays = flat(episodes(10, 20))
    low, high = np.float32([-2, 0]), np.float32([1, 4])
    unit = arrays["actions"]
    arrays["actions"] = (low + (unit + 1) / 2 * (high - low)).astype("f4")
    ends = {"action_low": low, "action_high": high}
    return lambda **more: write(arrays | more), unit, ends


def check_range(data, unit):
    assert np.abs(data.transitions.action - unit).max() < 1e-6
    assert [x.tolist() for x in data.action_range] == [[-2, 0], [1, 4]]
    assert data.action_range[0].dtype == np.float32


def test_a_range_in_the_file_scales_the_actions(commands, tmp_path):
    make, unit, ends = commands
    with pytest.raises(DataError, match="--set action_range="):
        read_states(make())
    path = make(**ends)
    check_range(read_states(path), unit)
    for form, name in (("npz", "a.npz"), ("minari", "a-v0"), ("vd4rl", "a")):
        out = convert(path, tmp_path / name, form=form).path
        check_range(load_data(None, data=out), unit)
    space = json.loads(
        json.loads((tmp_path / "a-v0/data/metadata.json").read_text())["action_space"]
    )
    assert (space["low"], space["high"]) == ([-2, 0], [1, 4])
    # As they were stored, bit for bit.
    stored = np.concatenate([x.action for x in read_minari(tmp_path / "a-v0").episodes])
    with h5py.File(path) as file:
        assert stored.tobytes() == file["actions"][()].tobytes()


def test_a_range_may_be_an_attribute_or_the_users_word(commands, write, tmp_path):
    make, unit, _ = commands
    path = make()
    asked = (-2.0, 1.0, 0.0, 4.0)
    check_range(load_data(None, data=path, action_range=asked), unit)
    out = convert(path, tmp_path / "said.npz", options=Options(asked)).path
    check_range(read_states(out), unit)
    with h5py.File(path, "a") as file:
        file.attrs["action_low"], file.attrs["action_high"] = -2.0, 4.0
    assert [x.tolist() for x in read_states(path).action_range] == [[-2, -2], [4, 4]]
    with h5py.File(path, "a") as file:
        file.attrs["action_low"], file.attrs["action_high"] = [-2.0, 0.0], [1.0, 4.0]
    check_range(read_states(path), unit)


WRONG = {
    "declares 'action_low' but not 'action_high'": {"action_low": -2.0},
    "must be below its highest": {"action_low": 2.0, "action_high": -2.0},
    "declares the range of 3 actions": {"action_low": np.zeros(3), "action_high": np.ones(3)},
    "beyond its declared range": {"action_low": -1.5, "action_high": 1.5},
    "'action_low' is .*nan.*; write a number": {"action_low": np.nan, "action_high": 1.0},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_range_is_refused(commands, words):
    make, *_ = commands
    with pytest.raises(DataError, match=words):
        read_states(make(**WRONG[words]))


def test_a_range_of_words_is_refused(commands):
    make, *_ = commands
    path = make()
    with h5py.File(path, "a") as file:
        file.attrs["action_low"], file.attrs["action_high"] = "a", 1.0
    with pytest.raises(DataError, match="'action_low' is a; write a number, or one an action"):
        read_states(path)


def test_the_range_of_a_run_is_recorded_and_found_again(commands, tmp_path):
    make, unit, _ = commands
    path, run = make(), tmp_path / "run"
    sets = ["--set", "action_range=[-2,1,0,4]", "--set", "cut_jumps=true"]
    train(path, run, "--steps", 2, *sets)
    record = json.loads((run / "run.json").read_text())
    assert record["spec"]["action_range"] == [[-2, 0], [1, 4]]
    request = DataRequest.of_record(record)
    assert request.cut_jumps and request.action_range == (-2, 1, 0, 4)
    check_range(request.load(), unit)


# Frames


@pytest.fixture
def frames(tmp_path):
    """`frames(change)`: a folder of two episodes of somebody's own pictures."""

    def make(change=lambda x: x):
        folder = tmp_path / "mine"
        folder.mkdir()
        for k in range(2):
            g, n = np.random.default_rng(k), 12
            rows = {
                "image": g.integers(0, 255, (n, 64, 64, 3), np.uint8),
                "action": np.concatenate([np.zeros((1, 2)), g.uniform(-1, 1, (n - 1, 2))]),
                "reward": np.append(0, g.random(n - 1)),
                "is_first": np.arange(n) == 0,
                "is_last": np.arange(n) == n - 1,
                "is_terminal": np.zeros(n, bool),
            }
            np.savez_compressed(folder / f"{k}.npz", **(change(rows) if k == 1 else rows))
        return folder

    return make


@pytest.mark.parametrize("key", ["is_last", "is_terminal", "is_first"])
def test_one_flag_more_than_frames_is_dropped(frames, key):
    folder = frames(lambda x: x | {key: np.append(x[key], False)})
    data = read_vd4rl(folder)
    assert data.episode_lengths.tolist() == [11, 11]
    assert told(data, f"1.npz: key '{key}' has one entry more than the rows; the last is left out")


def test_frames_of_ones_own_without_a_name(frames, tmp_path):
    request = DataRequest(path=frames(), data_dir=tmp_path)
    assert request.default_observation() == "pixels"
    data = request.load()
    assert (data.name, data.environment, data.rows) == ("mine", None, 22)
    assert data.spec.observation_shape == (64, 64, 3) and "not scored" in data.note
    with pytest.raises(DataError, match="holds no states"):
        DataRequest(path=Path(data.path), observation="state").load()
