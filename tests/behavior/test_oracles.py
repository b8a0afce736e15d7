"""OGBench's recordings: its oracles play, a seed is an episode, and a killed recording goes on."""

import collections
import json
import zipfile

import numpy as np
import pytest

from shared.behavior import oracles
from shared.behavior.episodes import Segment
from shared.behavior.oracles import Player
from shared.behavior.record import plan, record
from shared.data.catalog import lookup

ROWS = 40


@pytest.fixture(scope="module", params=["cube-double-play", "scene-noisy", "puzzle-3x3-play"])
def played(request):
    player = Player(request.param, ROWS)
    return player, player.play(np.random.SeedSequence([0, 0, 1]))


def test_rows_hold_what_was_seen_and_done_and_where_the_simulator_was(played):
    player, rows = played
    sizes = lookup(f"{player.domain}-{player.kind}").environment
    assert rows["observations"].shape == (ROWS, sizes.observation_size)
    assert rows["actions"].shape == (ROWS, sizes.action_size)
    assert np.abs(rows["actions"]).max() <= 1 and np.ptp(rows["actions"], axis=0).min() > 0.05
    assert np.flatnonzero(rows["timeouts"]).tolist() == [ROWS - 1] and not rows["terminals"].any()
    assert ("infos/button_states" in rows) == (player.domain != "cube-double")
    assert len(np.unique(rows["observations"], axis=0)) == ROWS
    for t in (3, ROWS - 2):  # the same state and the same action lead to the next row
        player.task.reset(seed=5)
        state = [rows[f"infos/{key}"][t].astype(float) for key in ("qpos", "qvel")]
        buttons = [rows["infos/button_states"][t].astype(int)] if len(rows) > 6 else []
        player.task.set_state(*state, *buttons)
        following = player.task.step(rows["actions"][t])[0]
        np.testing.assert_allclose(following[:6], rows["observations"][t + 1][:6], atol=2e-3)


def test_an_episode_depends_on_its_seed_alone(played):
    player, rows = played
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    other = player.play(np.random.SeedSequence([0, 0, 2]))
    again = player.play(np.random.SeedSequence([0, 0, 1]))
    for key, x in rows.items():
        np.testing.assert_array_equal(again[key], x, err_msg=key)
    assert (other["observations"] != rows["observations"]).any()
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def _distances(maze, start):
    found, queue = {start: 0}, collections.deque([start])
    while queue:
        i, j = queue.popleft()
        for cell in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if maze[cell] == 0 and cell not in found:
                found[cell] = found[i, j] + 1
                queue.append(cell)
    return found


def test_goals_of_a_maze():
    player = Player("pointmaze-medium-stitch", 2)
    maze = player.task.maze_map
    for i, j in np.argwhere(maze == 0).tolist():
        ring = {cell for cell, n in _distances(maze, (i, j)).items() if n == 4}
        assert set(oracles._apart(maze, (i, j))) == ring
    # Of the medium maze: a way to the right and a way down, a corner and a fork.
    cells = ((3, 3), (5, 1), (1, 1), (4, 4))
    assert [oracles._is_corridor(maze, *cell) for cell in cells] == [True, True, False, False]


def test_the_point_walks_from_goal_to_goal():
    rows = Player("pointmaze-medium-navigate", 400).play(np.random.SeedSequence(3))
    steps = np.diff(rows["observations"], axis=0)
    assert np.linalg.norm(steps, axis=1).mean() > 0.15  # at most 0.2 an axis and step
    assert np.abs(rows["actions"]).max() == 1.0
    assert np.ptp(rows["observations"], axis=0).min() > 4  # further than the next cell


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setitem(oracles.ogbench_names.FILES, "pointmaze-medium-navigate", (3, 30))
    from shared.behavior import episodes

    episodes._recorder.cache_clear()
    yield
    episodes._recorder.cache_clear()


def test_a_recording_that_was_killed_goes_on_to_the_same_bytes(short, tmp_path):
    name, seen = "pointmaze-medium-navigate", []
    whole = record(name, 80, seed=1, path=tmp_path / "a.npz", progress=lambda *x: seen.append(x))
    assert whole.episodes == 3 and seen == [(30, 80), (60, 80), (80, 80)]

    def die(done, total):
        if done >= 60:
            raise KeyboardInterrupt

    path = tmp_path / "b.npz"
    with pytest.raises(KeyboardInterrupt):
        record(name, 80, seed=1, path=path, progress=die)
    kept = tmp_path / "b.npz.episodes"
    assert not path.exists() and {x.name for x in kept.glob("*.npz")} >= {"0-0.npz", "0-1.npz"}
    (kept / "0-1.npz").write_bytes((kept / "0-1.npz").read_bytes()[:-40])  # cut off: played again
    assert record(name, 80, seed=1, path=path).sha256 == whole.sha256
    assert [x.name for x in tmp_path.iterdir()] == ["a.npz", "b.npz"] and not kept.exists()


def test_episodes_of_another_seed_are_not_taken(short, tmp_path):
    from shared.behavior.kept_episodes import keeping

    with pytest.raises(KeyError), keeping(tmp_path / "x", {"seed": 0}) as folder:
        (folder / "0-0.npz").write_bytes(b"")
        raise KeyError
    with keeping(tmp_path / "x", {"seed": 1}) as folder:
        assert not (folder / "0-0.npz").exists()


def test_the_file_says_that_it_is_not_ogbench(short, tmp_path):
    record("pointmaze-medium-navigate", 60, seed=2, path=tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        told = json.loads(archive.comment)
    assert told["source"] == "collected" and "not OGBench" in told["protocol"]
    assert told["dataset"] == "pointmaze-medium-navigate" and told["environment"] == "OGBench"
    assert json.loads(told["segments"])[0]["action_noise"] == 0.5
    assert json.loads(told["versions"])["ogbench"]
    with np.load(tmp_path / "a.npz") as file:
        assert set(file) == {"observations", "actions", "terminals", "qpos", "qvel"}
        assert np.flatnonzero(file["terminals"]).tolist() == [29, 59]


def test_one_recording_serves_all_tasks_of_a_file():
    assert lookup("scene-play-singletask-task5").recording == "scene-play"
    (segment,) = plan("scene-play", 5)
    assert segment == Segment("scene-play", oracles.POLICY, 5)
