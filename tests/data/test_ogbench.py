"""OGBench's files: read as its own loader reads them, refused where they are broken."""

import functools
import http.server
import threading

import numpy as np
import pytest

from shared.behavior.oracles import Player
from shared.data.catalog import lookup, official_entry
from shared.data.files.ogbench import has_layout, write_ogbench
from shared.data.reader import examine, read_states
from shared.environments.ogbench_simulator import make, package
from shared.errors import DataError
from shared.loading.fetch import addresses, fetch
from shared.loading.places import collected_path
from shared.loading.request import load_data

POINT, TASK = "pointmaze-medium-navigate", "pointmaze-medium-navigate-singletask-task4"


@pytest.fixture(scope="module")
def rows():
    """Two trajectories of a point that passes the goal of its task 4."""
    player = Player(POINT, 250)
    parts = [player.play(np.random.SeedSequence([i, 0])) for i in (2, 3)]
    return {k: np.concatenate([x[k] for x in parts]) for k in parts[0] if k != "terminals"}


@pytest.fixture(scope="module")
def file(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("ogbench") / "pointmaze-medium-navigate-v0.npz"
    write_ogbench(path, dict(rows), {})
    return path


@functools.cache
def theirs(path, task, compact):
    """What the package's own loader and rules make of a file."""
    data = package().load_dataset(str(path), compact_dataset=compact, add_info=True)
    package().relabel_utils.relabel_dataset(f"{task}-v0", make(f"{task}-v0"), data)
    return data


def _same(mine, other):
    """Transitions, and the ends of trajectories, against the package's regular form."""
    found = mine.transitions
    for a, b in (
        (found.observation, other["observations"]),
        (found.next_observation, other["next_observations"]),
        (found.action, np.clip(other["actions"], -1, 1)),
        (found.reward, other["rewards"]),
        (found.terminal, other["masks"] == 0),
        (np.diff(mine.episode, append=99) > 0, other["terminals"] == 1),
    ):
        np.testing.assert_array_equal(a, b)


def test_transitions_are_those_of_the_packages_loader(file):
    other = theirs(file, TASK, False)
    assert 0 < (other["masks"] == 0).sum() < 498
    mine = read_states(file, name=TASK)
    _same(mine, other)
    assert (mine.name, mine.environment, mine.source) == (TASK, TASK, "yours")
    assert mine.episode_finished.all() and mine.mean_score is None
    # Without a name it is what the file's own name says, the default task.
    assert examine(file).name == POINT
    rewards = read_states(file, name=POINT).transitions.reward
    assert (rewards != mine.transitions.reward).any()


@pytest.mark.parametrize("compact", [False, True])
def test_what_the_loader_makes_may_be_stored(file, compact, tmp_path):
    stored = dict(theirs(file, TASK, compact))
    assert ("valids" in stored) == compact
    path = tmp_path / "mine.npz"
    np.savez(path, **{k: x for k, x in stored.items() if k not in ("qpos", "qvel")})
    _same(read_states(path, name=TASK), theirs(file, TASK, False))


def test_a_file_that_breaks_off_loses_its_last_row(rows, tmp_path):
    cut = {key: x[:490] for key, x in rows.items()}
    write_ogbench(tmp_path / "cut.npz", cut, {})
    data = read_states(tmp_path / "cut.npz", name=POINT)
    assert data.rows == 249 + 239 and data.episode_finished.tolist() == [True, False]


def test_buttons_are_part_of_a_scenes_state(tmp_path):
    player = Player("puzzle-3x3-play", 12)
    rows = player.play(np.random.SeedSequence(0))
    del rows["terminals"]
    rows["infos/button_states"][6:] = player.task._target_button_states
    path = tmp_path / "puzzle.npz"
    write_ogbench(path, rows, {"source": "collected", "dataset": "puzzle-3x3-play"})
    mine = read_states(path)
    _same(mine, theirs(path, "puzzle-3x3-play-singletask-task4", False))
    assert mine.source == "collected" and mine.transitions.reward.min() < -1
    del rows["infos/button_states"]
    write_ogbench(path, rows, {})
    with pytest.raises(DataError, match="no 'button_states', which tell where 'puzzle-3x3-play'"):
        read_states(path, name="puzzle-3x3-play")


def _saved(rows, path, **changes):
    arrays = {key.removeprefix("infos/"): x for key, x in rows.items()}
    arrays["terminals"] = arrays.pop("timeouts")
    arrays |= changes
    np.savez(path, **{key: x for key, x in arrays.items() if x is not None})
    return path


def test_a_broken_file_is_refused_in_one_sentence(rows, tmp_path):
    path, n = tmp_path / "x.npz", len(rows["actions"])
    bad = np.zeros((n, 2), np.float32)
    bad[7, 1] = np.nan
    ends = rows["timeouts"].astype(np.float32)
    for changes, told in (
        ({"qpos": bad}, "'qpos' is not finite in row 7"),
        ({"qpos": np.zeros((n, 3), np.float32)}, r"'qpos' of shape \(500, 3\), but .* has 2 a row"),
        ({"qpos": rows["infos/qpos"][:-1]}, "different lengths.*qpos 499"),
        ({"terminals": ends * 2}, "'terminals' has 2.0 in row 249"),
        ({"terminals": np.ones(n)}, "no row has a successor"),
        ({"masks": ends, "rewards": ends[:3]}, "different lengths.*rewards 3"),
        ({"observations": rows["observations"][:, 0]}, "observations"),
    ):
        with pytest.raises(DataError, match=told) as caught:
            read_states(_saved(rows, path, **changes), name=POINT)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="holds no rewards, as OGBench's.*--env"):
        read_states(_saved(rows, path))
    with pytest.raises(DataError, match="shape"):  # another simulator's
        read_states(_saved(rows, path), name="cube-single-play")


def test_what_is_taken_for_one_of_its_files():
    keys = {"observations", "actions", "terminals"}
    assert has_layout(keys | {"qpos"}) and has_layout(keys | {"rewards", "masks"})
    assert not has_layout(keys | {"qpos", "rewards"}) and not has_layout({"image", "masks"})


def test_names_places_and_addresses(tmp_path):
    entry = lookup("scene-play-singletask-task3-v0")
    assert addresses(entry)[-1].endswith("/datasets/ogbench/scene-play-v0.npz")
    assert package().utils.DATASET_URL + "/scene-play-v0.npz" in addresses(entry)
    assert collected_path(entry.name, 10, 0, tmp_path).name == "scene-play-10-seed0.npz"
    assert official_entry("scene-play-v0.npz").name == "scene-play"
    assert official_entry("scene-noisy-v0.npz").name == "scene-noisy"
    assert official_entry("scene-play.npz") is None


def test_an_official_file_is_fetched_and_a_servers_page_is_not(file, tmp_path, monkeypatch):
    served = tmp_path / "server" / "ogbench"
    served.mkdir(parents=True)
    handler = functools.partial(_Quiet, directory=str(served.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LATENT_POLICIES_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("LATENT_POLICIES_OFFLINE", raising=False)
    monkeypatch.setattr("shared.loading.fetch.OGBENCH_SERVER", "http://127.0.0.1:9")
    entry = lookup(TASK)
    (served / file.name).write_bytes(b"<html>not here</html>")
    with pytest.raises(DataError, match="out of reach.*not an npz archive"):
        fetch(entry, tmp_path / "cache")
    (served / file.name).write_bytes(file.read_bytes())
    data = load_data(TASK, data_dir=tmp_path / "cache", source="d4rl")
    server.shutdown()
    server.server_close()
    assert data.source == "official" and data.name == TASK and data.rows == 498


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
