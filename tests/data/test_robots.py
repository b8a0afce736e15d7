"""What robots bring: LeRobot folders, demonstrations and tables, by the names of a YAML."""

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from robots import LENGTHS, RATE, arm, write_v3, write_v21

from shared.cli.data import data_group
from shared.data.convert import convert
from shared.data.reader import examine, read_states
from shared.data.vd4rl.reader import read_vd4rl
from shared.errors import ConfigError, DataError, UserError
from shared.health import health_of, write_health
from shared.loading.request import load_data

ROWS = sum(LENGTHS)
SAID = {"reward": "success"}


@pytest.fixture(scope="module")
def episodes():
    return arm()


@pytest.fixture(scope="module")
def v21(tmp_path_factory, episodes):
    return write_v21(tmp_path_factory.mktemp("v21") / "arm", episodes)


@pytest.fixture
def say(tmp_path):
    """`say(data, **words)`: a YAML on these data."""

    def say(data, **words):
        path = tmp_path / "robot.yaml"
        path.write_text(yaml.safe_dump({"data": str(data), **words}))
        return path

    return say


@pytest.fixture
def csvs(tmp_path, episodes):
    """A folder with a CSV an episode: x, y, u, v, t, fallen."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for k, episode in enumerate(episodes):
        rows = len(episode["action"])
        fallen = np.where((np.arange(rows) > rows - 3) & (k == 2), "True", "False")
        columns = [*episode["observation.state"].T, *episode["action"].T, np.arange(rows) / RATE]
        lines = [
            ",".join([*map(repr, map(float, x)), f])
            for x, f in zip(zip(*columns, strict=True), fallen, strict=True)
        ]
        (folder / f"{k:02}.csv").write_text("\n".join(["x,y,u,v,t,fallen", *lines]) + "\n")
    return folder


TABLE = {"observation": ["x", "y"], "action": ["u", "v"], "time": "t"}


def told(found):
    return {fault.name for fault in found.faults}


# What is read


@pytest.mark.parametrize("writer", [write_v21, write_v3])
def test_a_lerobot_folder_is_rows(writer, episodes, tmp_path):
    found = examine(writer(tmp_path / "arm", episodes))
    columns = found.columns
    for key, own in (("observation", "observation.state"), ("action", "action")):
        assert np.array_equal(getattr(columns, key), np.concatenate([x[own] for x in episodes]))
    assert np.flatnonzero(columns.timeout).tolist() == (np.cumsum(LENGTHS) - 1).tolist()
    assert not columns.terminal.any() and not columns.reward.any()
    assert told(found) == {"no-reward"}
    low, high = found.action_range
    assert np.array_equal(low, columns.action.min(0)) and np.array_equal(
        high, columns.action.max(0)
    )
    assert found.attributes["control_rate"] == RATE
    assert found.attributes["action_names"] == "shoulder, elbow"


def test_the_range_travels_to_a_policy_and_is_undone(say, v21, tmp_path):
    import shared

    source = say(v21, **SAID)
    convert(source, tmp_path / "arm.npz")
    data, again = read_states(source), read_states(tmp_path / "arm.npz")
    for a, b in zip(data.transitions, again.transitions, strict=True):
        assert np.array_equal(a, b)
    assert np.abs(data.transitions.action).max() == 1 and np.array_equal(
        data.action_range, again.action_range
    )
    few = {"steps": 2, "steps_per_call": 2, "hidden_sizes": [4], "batch_size": 8}
    (run,) = shared.train(
        "cnf", "bc", data=source, overrides=few, out=tmp_path / "run", preset="quick"
    )
    action = shared.load_policy(run).act(data.transitions.observation[0])
    low, high = data.action_range
    assert ((action >= low - 1e-6) & (action <= high + 1e-6)).all() and np.abs(action).max() > 0
    with pytest.raises(ConfigError, match="nothing says what the reward is, so 'iql' has nothing"):
        shared.train("cnf", "iql", data=v21, out=tmp_path / "none", preset="quick")


def test_success_is_the_last_row_and_an_end_for_good(say, v21):
    columns = examine(say(v21, **SAID)).columns
    last = np.cumsum(LENGTHS) - 1
    assert np.flatnonzero(columns.terminal).tolist() == np.flatnonzero(columns.reward).tolist()
    assert np.flatnonzero(columns.reward).tolist() == last.tolist() and columns.reward.max() == 1
    assert not columns.timeout.any()


def test_rewards_and_ends_of_a_reinforcement_learner(tmp_path, say, episodes):
    """Columns that LeRobot's own simulators record."""
    parts = []
    for k, episode in enumerate(episodes):
        rows = len(episode["action"])
        done = (np.arange(rows) == rows - 1) & (k % 2 == 0)
        parts.append(
            episode | {"next.reward": np.linspace(0, 1, rows, dtype="f4"), "next.success": done}
        )
    features = {"next.reward": "float32", "next.success": "bool"}
    root = write_v21(tmp_path / "arm", parts)
    about = json.loads((root / "meta/info.json").read_text())
    about["features"] |= {k: {"dtype": x, "shape": [1], "names": None} for k, x in features.items()}
    (root / "meta/info.json").write_text(json.dumps(about))
    columns = examine(root).columns
    assert np.array_equal(columns.reward, np.concatenate([x["next.reward"] for x in parts]))
    ends = np.cumsum(LENGTHS) - 1
    assert np.flatnonzero(columns.terminal).tolist() == ends[::2].tolist()
    assert np.flatnonzero(columns.timeout).tolist() == ends[1::2].tolist()
    columns = examine(say(root, reward={"success": "next.success"})).columns
    assert np.flatnonzero(columns.reward).tolist() == ends[::2].tolist()


def test_tables_of_text(say, csvs, episodes):
    found = examine(say(csvs, **TABLE, reward={"column": "x"}, terminal={"column": "fallen"}))
    columns, state = found.columns, np.concatenate([x["observation.state"] for x in episodes])
    end = np.flatnonzero(columns.terminal)
    assert end.tolist() == [sum(LENGTHS[:3]) - 2]  # the first row of those that say so
    keep = np.delete(np.arange(ROWS), end[0] + 1)
    assert np.array_equal(columns.observation, state[keep])
    assert np.array_equal(columns.reward, state[keep, 0])
    assert found.attributes["control_rate"] == pytest.approx(RATE)
    assert any("1 rows after the end of their episode" in x.sentence for x in found.faults)


def test_one_table_of_all_episodes(say, tmp_path, episodes):
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = np.repeat(np.arange(len(LENGTHS)) + 7, LENGTHS)
    x, u = (np.concatenate([e[k] for e in episodes]) for k in ("observation.state", "action"))
    table = {"run": number, "x": x[:, 0], "y": x[:, 1], "u": u[:, 0], "note": ["?"] * ROWS}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    words = {"observation": ["y", "x"], "action": "u", "episode": "run"}
    found = examine(say(tmp_path / "log.parquet", **words))
    assert np.array_equal(found.columns.observation, x[:, ::-1])
    assert np.flatnonzero(found.columns.timeout).tolist() == (np.cumsum(LENGTHS) - 1).tolist()
    table["run"] = number[::-1] % 2
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    with pytest.raises(DataError, match="comes again in row"):
        examine(say(tmp_path / "log.parquet", **words))
    with pytest.raises(DataError, match="'note' .*correct the name|'note' holds string"):
        examine(say(tmp_path / "log.parquet", **words | {"observation": ["note"]}))


def test_demonstrations_with_the_order_of_a_yaml(say, tmp_path, episodes):
    path = tmp_path / "demos.hdf5"
    with h5py.File(path, "w") as file:
        for k, episode in enumerate(episodes):
            group = file.create_group(f"data/demo_{k}")
            group["obs/eef"] = episode["observation.state"].astype("f8")
            group["obs/gripper"] = np.arange(len(episode["action"]) * 2.0).reshape(-1, 2)
            group["obs/agentview_image"] = np.zeros((len(episode["action"]), 4, 4, 3), np.uint8)
            group["actions"] = np.clip(episode["action"], -1, 1)
            group["dones"] = np.zeros(len(episode["action"]))
    words = {"observation": ["gripper[1]", "obs/eef"], "action": "actions", **SAID}
    found = examine(say(path, **words))
    assert found.columns.observation.shape == (ROWS, 3) and found.action_range is None
    state = np.concatenate([x["observation.state"] for x in episodes])
    assert np.array_equal(found.columns.observation[:, 1:], state)
    assert found.columns.observation[:3, 0].tolist() == [1, 3, 5]
    with pytest.raises(DataError, match="there is no column 'gone'"):
        examine(say(path, **words | {"observation": ["gone"]}))
    with pytest.raises(DataError, match="'agentview_image' holds uint8, no numbers"):
        examine(say(path, **words | {"observation": ["agentview_image"]}))


def test_a_column_that_a_yaml_names_is_asked_for_in_all_files(say, csvs, v21, tmp_path):
    """Also where a function of the reward sees every column, so that all are read."""
    (tmp_path / "r.py").write_text("def r(episode):\n    return 0 * episode['x']\n")
    words = TABLE | {"reward": {"function": "r.py:r"}, "observation": ["x", "gone"]}
    with pytest.raises(DataError, match="robot.yaml: there is no column 'gone'"):
        examine(say(csvs, **words))
    with pytest.raises(DataError, match="robot.yaml: there is no column 'gone'"):
        examine(say(v21, reward={"function": "r.py:r"}, observation=["gone"]))


@pytest.mark.parametrize("cells", ["0,1,2,3,4,0,9", "0,1,2"])
def test_a_row_of_another_length_would_shift_the_columns(say, csvs, cells):
    file = sorted(csvs.glob("*.csv"))[1]
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], cells, *lines[3:]]))
    wrong = len(cells.split(","))
    with pytest.raises(DataError, match=f"row 3 .* has {wrong} cells, but .* names 6 columns"):
        examine(say(csvs, **TABLE))


def test_a_header_alone_is_one_sentence(say, csvs, recwarn):
    file = sorted(csvs.glob("*.csv"))[1]
    file.write_text(file.read_text().splitlines()[0])
    with pytest.raises(DataError, match="has no rows; record some, or leave the file out"):
        examine(say(csvs, **TABLE))
    assert not recwarn


def test_a_camera_of_a_table_is_refused(say, csvs):
    with pytest.raises(DataError, match="tables hold no pictures; leave 'image' out"):
        examine(say(csvs, **TABLE, image="front"))


def test_ends_are_yes_or_no(say, csvs):
    with pytest.raises(DataError, match="'t', the column of 'terminal', holds .*name one of 0 and"):
        examine(say(csvs, **TABLE, terminal={"column": "t"}))


# Rewards by a function


FUNCTION = """
import numpy as np

def near(episode):
    return -np.abs(episode["observation.state"]).sum(axis=1)

def short(episode):
    return np.zeros(3)

def nan(episode):
    return np.full(len(episode["action"]), np.nan)

def wrong(episode):
    return episode["no such"]

number = 3
"""


@pytest.mark.parametrize("place", ["rewards_of_mine.py", "rewards_of_mine"])
def test_a_function_of_the_episode(say, v21, tmp_path, episodes, place):
    (tmp_path / "rewards_of_mine.py").write_text(FUNCTION)
    found = examine(say(v21, reward={"function": f"{place}:near"}))
    wanted = [-np.abs(x["observation.state"]).sum(1) for x in episodes]
    assert np.allclose(found.columns.reward, np.concatenate(wanted), atol=1e-6)
    before = found.sha256
    (tmp_path / "rewards_of_mine.py").write_text(FUNCTION + "\n")
    assert examine(say(v21, reward={"function": f"{place}:near"})).sha256 != before


WRONG = {
    "short": r"episode 0: the reward '.*' gave shape \(3,\); return one number a row, \(40,\)",
    "nan": "is nan in row 0; return finite numbers",
    "wrong": "failed .KeyError: 'no such'.; correct the function",
    "number": "which is no function; name one",
    "gone": "cannot be loaded .AttributeError",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_fails_is_one_sentence(say, v21, tmp_path, name):
    (tmp_path / "r.py").write_text(FUNCTION)
    with pytest.raises(DataError, match=WRONG[name]) as caught:
        examine(say(v21, reward={"function": f"r.py:{name}"}))
    assert "\n" not in str(caught.value)


# The clock


@pytest.mark.parametrize("kind", ["position", "delta"])
def test_a_lower_rate(say, v21, episodes, kind):
    found = examine(say(v21, rate=10, action_kind=kind, reward={"column": "timestamp"}))
    columns, kept = found.columns, [np.arange(0, n, 3) for n in LENGTHS]
    pairs = list(zip(episodes, kept, strict=True))
    state = np.concatenate([x["observation.state"][k] for x, k in pairs])
    assert np.array_equal(columns.observation, state)
    if kind == "position":
        action = [x["action"][k] for x, k in pairs]
    else:
        action = [[x["action"][i : i + 3].sum(0) for i in k] for x, k in pairs]
    assert np.allclose(columns.action, np.concatenate(action), atol=1e-6)
    reward = [[x["timestamp"][i : i + 3].sum() for i in k] for x, k in pairs]
    assert np.allclose(columns.reward, np.concatenate(reward), atol=1e-5)
    assert found.attributes["control_rate"] == 10
    assert any(f"({kind})" in fault.sentence for fault in found.faults)


def test_drop_outs_are_told_and_cut(say, tmp_path, episodes):
    parts = [dict(x) for x in episodes]
    lost = np.r_[10:15]
    parts[3] = {key: np.delete(x, lost, axis=0) for key, x in parts[3].items()}
    root = write_v21(tmp_path / "arm", parts)
    found = examine(root)
    (sentence,) = [x.sentence for x in found.faults if x.name == "drop-outs"]
    for words in ("about 5 rows are missing at 1 places in 1 of 10", "after row 9 of episode 3"):
        assert words in sentence
    cut = examine(say(root, cut_gaps=True)).columns
    assert cut.timeout.sum() == 11 and cut.timeout[sum(LENGTHS[:3]) + 9]
    ten = examine(say(root, rate=10, action_kind="position")).columns  # the ticks keep their time
    assert len(ten.reward) == sum(-(-n // 3) for n in LENGTHS) - 1


# What is wrong


SCHEMA = {
    "'data' must name a file": {"data": 3},
    "which does not exist": {"data": "gone"},
    "the key 'rewards' is not known; keys are data, observation": {"rewards": "success"},
    "'observation' must be a list of columns": {"observation": 3},
    "'observation' names 'x' twice": {"observation": ["x", "x"]},
    "'action' takes nothing of 'x.3:3.'": {"action": ["x[3:3]"]},
    "'episode' must be the name of a column, not '5'": {"episode": 5},
    "'reward' must be none, success": {"reward": "always"},
    "'reward' column must be the name": {"reward": {"column": 1}},
    "'terminal' must be never, always": {"terminal": True},
    "'rate' must be a number above 0, not '-3'": {"rate": -3, "action_kind": "delta"},
    "add 'action_kind: position' .*or 'action_kind: delta'": {"rate": 10},
    "'rate' is 60 Hz, but rows were recorded at 30 Hz": {"rate": 60, "action_kind": "delta"},
    "'action_kind' must be position or delta": {"action_kind": "torque"},
    "'action_range' must be data, .percentile: 1.": {"action_range": [[1, -1]]},
    "'action_range' percentile must lie from 0": {"action_range": {"percentile": 70}},
    "'action_range' has 3 pairs, but there are 2 actions": {"action_range": [[-1, 1]] * 3},
    "'cut_gaps' must be true or false": {"cut_gaps": "yes"},
    "there is no column 'speed' .but observation.state, action": {"observation": ["speed"]},
    "has 2 numbers a row, so there is no observation.state.1:9.": {
        "observation": ["observation.state[1:9]"]
    },
    "'action' holds 2 numbers a row; name a column of one": {"reward": {"column": "action"}},
}


@pytest.mark.parametrize("words", SCHEMA)
def test_a_wrong_yaml_is_one_sentence(say, v21, words):
    path = say(v21)
    path.write_text(yaml.safe_dump({"data": str(v21)} | SCHEMA[words]))
    with pytest.raises(DataError, match=words) as caught:
        examine(path)
    assert "\n" not in str(caught.value) and "robot.yaml" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["a: [", "- 1", "", "!!python/object:os.system {}", "a: &a [*a]", "data: x\nrate: 1\nrate: 2"],
)
def test_what_is_no_yaml(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match="x.yaml: "):
        examine(tmp_path / "x.yaml")


def edit(root, **changes):
    path = root / "meta" / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shorter(root):
    path = root / "meta" / "episodes.jsonl"
    path.write_text(path.read_text().replace("40", "39", 1))


def first(root):
    return root / "data/chunk-000/episode_000000.parquet"


def swap(root, **columns):
    """The first file with other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(first(root))
    for name, x in columns.items():
        table = table.drop([name])
        table = table if x is None else table.append_column(name, pa.array(x))
    pq.write_table(table, first(root))


def linked(root):
    secret = root.parent / "secret.parquet"
    os.replace(first(root), secret)
    first(root).symlink_to(secret)


BROKEN = {
    "episode_000000.parquet: is missing, but meta/info.json names it": lambda r: first(r).unlink(),
    "cannot be read as Parquet": lambda r: first(r).write_bytes(b"PAR1 no more PAR1"),
    "is a link out of the data set": linked,
    "info.json: 'total_frames' is 390, but the episodes listed make 389": shorter,
    "holds 40 rows of episode 0, but meta says 39": lambda r: (
        shorter(r),
        edit(r, total_frames=389),
    ),
    "'total_episodes' is 11, but": lambda r: edit(r, total_episodes=11),
    "leads out of the folder": lambda r: edit(r, data_path="../../etc/{episode_index}.parquet"),
    "'/etc/passwd' leads out": lambda r: edit(r, data_path="/etc/passwd"),
    "a path asks for '.episode_chunk_x.'": lambda r: edit(r, data_path="{episode_chunk_x}"),
    "leads out of the folder or is damaged": lambda r: edit(
        r, data_path="{episode_index.__class__}"
    ),
    "has no path of the files": lambda r: edit(r, data_path=None),
    "is of version 'v1.6'": lambda r: edit(r, codebase_version="v1.6"),
    "'fps' must be": lambda r: edit(r, fps=0),
    "'chunks_size' must be": lambda r: edit(r, chunks_size=0),
    "'features' must say": lambda r: edit(r, features=[]),
    "has no column 'observation.state'": lambda r: edit(r, features={}),
    "info.json: is no JSON": lambda r: (r / "meta/info.json").write_text("{"),
    "episodes.jsonl: is no JSON in line 1": lambda r: (r / "meta/episodes.jsonl").write_text("["),
    "episodes.jsonl: cannot be read": lambda r: (r / "meta/episodes.jsonl").unlink(),
    "the column 'action' is missing": lambda r: swap(r, action=None),
    "the column 'action' holds string, not numbers": lambda r: swap(r, action=["a"] * 40),
    "has lists of different lengths": lambda r: swap(r, action=[[1.0]] * 39 + [[1.0, 2.0]]),
    "'action' has shape .3. a row in episode 0, but": lambda r: swap(r, action=[[1.0] * 3] * 40),
    "time runs backwards in row 1": lambda r: swap(r, timestamp=np.arange(40.0)[::-1]),
}  # fmt: skip


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_folder_is_one_sentence(tmp_path, episodes, words):
    root = write_v21(tmp_path / "arm", episodes)
    BROKEN[words](root)
    with pytest.raises(UserError, match=words) as caught:
        read_states(root)
    assert "\n" not in str(caught.value)


def test_a_number_that_is_none_is_refused(tmp_path, episodes):
    root = write_v21(tmp_path / "arm", episodes)
    swap(root, action=[[1.0, np.nan]] * 40)
    with pytest.raises(DataError, match="'actions' is not finite in 40 of 390 rows"):
        read_states(root)


def test_a_column_of_text_in_a_table_is_one_sentence(say, csvs):
    path = csvs / "01.csv"
    lines = path.read_text().splitlines()
    for text, words in (("x,y,u,v,t", "no column 'w'"), ("1,2,3,4,5,6", "first line must name")):
        path = csvs / "00.csv"
        path.write_text("\n".join([text, *lines[1:]]))
        with pytest.raises(DataError, match=words):
            examine(say(csvs, **TABLE | {"observation": ["w"]}))
    (csvs / "00.csv").write_text("\n".join([lines[0], lines[1], ",1,2,3,4,False"]))
    with pytest.raises(DataError, match="holds no numbers .*row 1"):
        examine(say(csvs, **TABLE))


def test_a_snapshot_of_the_hubs_cache_is_read(tmp_path, episodes):
    """There, every file is a link into `blobs`, beside the revisions."""
    root = write_v21(tmp_path / "cache" / "snapshots" / "abc", episodes)
    blobs = tmp_path / "cache" / "blobs"
    blobs.mkdir()
    for k, path in enumerate(x for x in root.rglob("*") if x.is_file()):
        os.replace(path, blobs / str(k))
        path.symlink_to(Path(os.path.relpath(blobs / str(k), path.parent)))
    assert len(examine(root).columns.reward) == ROWS


# The range


def test_the_range_of_percentiles_clips_and_says_so(say, v21, episodes):
    found = examine(say(v21, action_range={"percentile": 5}))
    action = np.concatenate([x["action"] for x in episodes])
    low, high = np.percentile(action.astype("f8"), (5, 95), axis=0).astype("f4")
    assert np.array_equal(found.action_range, (low, high))
    assert np.array_equal(found.columns.action, np.clip(action, low, high))
    assert "action-percentile" in told(found) and "action-range" not in told(found)


def test_a_given_range_that_is_left_is_refused(say, v21):
    with pytest.raises(DataError, match="'actions' lies beyond its declared range"):
        read_states(say(v21, action_range=[[-0.1, 0.1]]))
    assert read_states(say(v21, action_range=[[-9, 9]])).action_range[1].tolist() == [9, 9]


# Pictures


def film(path, brightness):
    """A video whose frames are grey, of this brightness."""
    import imageio_ffmpeg

    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.broadcast_to(brightness[:, None, None, None], (len(brightness), 48, 64, 3))
    words = f"-v error -f rawvideo -pix_fmt rgb24 -s 64x48 -r {RATE} -i pipe: -pix_fmt yuv420p"
    words = [imageio_ffmpeg.get_ffmpeg_exe(), *words.split(), "-c:v", "libx264", str(path)]
    subprocess.run(words, input=frames.astype(np.uint8).tobytes(), check=True)


CAMERA = "observation.images.front"


def filmed(root, version):
    """A camera for the three episodes of a folder: a file an episode, or one of them all."""
    import pyarrow.parquet as pq

    about = json.loads((root / "meta/info.json").read_text())
    about["features"][CAMERA] = {"dtype": "video", "shape": [48, 64, 3], "names": None}
    grey = [20 + 5 * np.arange(n) for n in (9, 8, 7)]
    if version == 2:
        name = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
        for k, own in enumerate(grey):
            film(root / f"videos/chunk-000/{CAMERA}/episode_{k:06}.mp4", own + 60 * k)
    else:
        name = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
        film(
            root / f"videos/{CAMERA}/chunk-000/file-000.mp4",
            np.concatenate([g + 60 * k for k, g in enumerate(grey)]),
        )
        path = root / "meta/episodes/chunk-000/file-000.parquet"
        table = pq.read_table(path)
        import pyarrow as pa

        for key, x in (
            ("chunk_index", [0] * 3),
            ("file_index", [0] * 3),
            ("from_timestamp", [0.0, 9 / RATE, 17 / RATE]),
        ):
            table = table.append_column(f"videos/{CAMERA}/{key}", pa.array(x))
        pq.write_table(table, path)
    (root / "meta/info.json").write_text(json.dumps(about | {"video_path": name}))
    return root


@pytest.mark.parametrize("version", [2, 3])
def test_videos_become_frames(say, tmp_path, version):
    writer = {2: write_v21, 3: write_v3}[version]
    root = filmed(writer(tmp_path / "arm", arm((9, 8, 7))), version)
    source = say(root, image=CAMERA, rate=15, action_kind="position", **SAID)
    with pytest.raises(ConfigError, match="unpacked first: name the camera as 'image'"):
        load_data(None, data=source, observation="pixels")
    convert(source, tmp_path / "frames", form="vd4rl")
    frames = read_vd4rl(tmp_path / "frames").frames
    assert frames.image.shape == (5 + 4 + 4 + 3, 64, 64, 3) and frames.state is not None
    grey = frames.image.mean(axis=(1, 2, 3))
    wanted = [
        20 + 60 * k + 5 * np.append(np.arange(0, n, 2), (n - 1) // 2 * 2)
        for k, n in enumerate((9, 8, 7))
    ]
    assert np.abs(grey - np.concatenate(wanted)).max() < 3
    video = next(root.rglob("*.mp4"))
    video.write_bytes(b"no film" * 99)
    with pytest.raises(DataError, match="mp4: (cannot be decoded by ffmpeg|has 0 frames)"):
        convert(source, tmp_path / "more", form="vd4rl")
    video.unlink()
    with pytest.raises(DataError, match="mp4: is missing"):
        convert(source, tmp_path / "more", form="vd4rl")
    with pytest.raises(DataError, match="'image' is 'gone', but videos are: obs"):
        convert(say(root, image="gone", **SAID), tmp_path / "more", form="vd4rl")


# The commands


def test_inspect_writes_a_page(say, v21, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, runner = say(v21, **SAID), CliRunner()
    result = runner.invoke(data_group, ["inspect", str(source), "--report", "health.html"])
    assert result.exit_code == 0 and "report: health.html" in result.output
    page = (tmp_path / "health.html").read_text()
    for words in ("Health of robot", "no fault was found", "30 Hz", "action: elbow", "success"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert not list(tmp_path.glob("*.png"))
    health = health_of(examine(source))
    write_health(health._replace(drawings=health.drawings[:1]), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    result = runner.invoke(data_group, ["inspect", str(v21), "--report", "x.pdf"])
    assert "ends in .html or .png" in str(result.exception)


REAL = os.environ.get("LATENT_POLICIES_LEROBOT", "")


@pytest.mark.skipif(not REAL, reason="LATENT_POLICIES_LEROBOT names no LeRobot v2.1 folder")
def test_a_recording_of_a_real_robot():
    """The Unitree G1 set of 100 episodes; no check may accuse it."""
    found = examine(REAL)
    assert told(found) == {"layout", "no-reward"}
    assert found.columns.observation.shape == found.columns.action.shape == (35965, 26)
    assert found.attributes["action_names"].startswith("kLeftShoulderPitch, ")
