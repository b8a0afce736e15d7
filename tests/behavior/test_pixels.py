"""Recorded frames: V-D4RL's layout, the same bytes however they were made, and carried on."""

import json
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from cnf.cli import main
from shared.behavior.episodes import Segment, run_block
from shared.behavior.pixels import ROWS, plan_units, record_pixels
from shared.data.vd4rl.folder import read_record
from shared.data.vd4rl.reader import read_vd4rl
from shared.data.vd4rl.states import states_of
from shared.environments.control import ControlSimulator
from shared.environments.rendering import FAITHFUL, FAST
from shared.errors import DataError

NAME = "cheetah_run-random"


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two episodes, one worker."""
    folder, seen = tmp_path_factory.mktemp("frames") / "one", []
    record_pixels(NAME, 600, seed=3, folder=folder, progress=lambda *x: seen.append(x))
    return folder, seen


def test_archives_have_vd4rls_form(recorded):
    folder, seen = recorded
    assert seen == [(0, 1002), (501, 1002), (1002, 1002)]
    assert list(contents(folder)) == [
        "000000-random-501.npz",
        "000001-random-501.npz",
        "collected.json",
    ]
    path = folder / "000001-random-501.npz"
    with np.load(path, allow_pickle=False) as file:
        form = {key: (file[key].shape[1:], file[key].dtype.name) for key in file.files}
        first = {key: file[key][0] for key in ("action", "reward", "is_first")}
        assert file["is_last"].nonzero()[0].tolist() == [500] and len(file["image"]) == ROWS
    flags = dict.fromkeys(("is_first", "is_last", "is_terminal"), ((), "bool"))
    numbers = {"action": ((6,), "float32"), "reward": ((), "float32"), "discount": ((), "float32")}
    states = {"position": ((8,), "float32"), "velocity": ((9,), "float32")}
    assert form == {"image": ((64, 64, 3), "uint8")} | numbers | flags | states
    assert not first["action"].any() and first["reward"] == 0 and first["is_first"]
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.comment)
    assert told == read_record(folder) and told["source"] == "collected"
    assert "not V-D4RL" in told["protocol"]
    assert json.loads(told["render"]) == FAST._asdict()


def test_frames_show_the_states_beside_them(recorded):
    """The state recording of the same seed holds the same episodes; a restored state is drawn."""
    data = read_vd4rl(recorded[0])
    assert (data.name, data.source) == (NAME, "collected")
    states = states_of(data).transitions
    block = run_block(Segment("cheetah_run", "random", 1000), 3, 0, None, range(2))
    for key, column in (("observations", states.observation), ("actions", states.action)):
        assert np.array_equal(np.concatenate([episode[key] for episode in block]), column)
    rewards = np.concatenate([episode["rewards"] for episode in block])
    assert np.array_equal(states.reward, rewards)
    assert data.frames.image is not None
    simulator = ControlSimulator("cheetah_run", FAST)
    simulator.reset(np.random.SeedSequence([3, 0, 1]).spawn(2)[0])
    for t in range(30):
        difference = simulator.render(64).astype(int) - data.frames.image[ROWS + t]
        assert np.abs(difference).mean() < 0.5, t
        simulator.step(states.action[500 + t])


def test_workers_and_a_kill_change_no_byte(recorded, tmp_path):
    """A recording that is killed and started again, by two workers, is the whole one."""
    folder = tmp_path / "two"
    script = (
        "from pathlib import Path\nfrom shared.behavior.pixels import record_pixels\n"
        f"record_pixels({NAME!r}, 600, seed=3, folder=Path({str(folder)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while not (folder / "000000-random-501.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (folder / "000000-random-501.npz").stat().st_mtime_ns
    (folder / ".000001-random-501.npz.7.partial").write_bytes(b"half a file")
    (folder / "000001-random-501.npz").unlink(missing_ok=True)
    record_pixels(NAME, 600, seed=3, folder=folder, workers=2)
    assert (folder / "000000-random-501.npz").stat().st_mtime_ns == before
    assert contents(folder) == contents(recorded[0])


def test_other_recordings_are_refused(recorded, tmp_path):
    folder = recorded[0]
    with pytest.raises(DataError, match="another recording .its 'seed' differs"):
        record_pixels(NAME, 600, seed=4, folder=folder)
    with pytest.raises(DataError, match="another recording .its 'render' differs"):
        record_pixels(NAME, 600, seed=3, folder=folder, render="faithful")
    (tmp_path / "x").touch()
    with pytest.raises(DataError, match="is not empty"):
        record_pixels(NAME, 600, seed=3, folder=tmp_path)
    with pytest.raises(DataError, match="No frames of 'hopper-random'"):
        record_pixels("hopper-random", 600, seed=3, folder=tmp_path / "y")
    with pytest.raises(DataError, match="64 or 84 pixels"):
        record_pixels(NAME, 600, seed=3, folder=tmp_path / "y", size=32)


def test_policies_share_the_episodes_equally():
    units = plan_units(NAME, 100_000, 84)
    assert sum(unit.count for unit in units) == 200 and len(units) == 20
    assert units[3].file == "000030-random-5010.hdf5" and units[3].first == 30


@pytest.mark.long
def test_shards_hold_the_same_episodes(recorded, tmp_path):
    record_pixels(NAME, 100, seed=3, folder=tmp_path / "84px", size=84)
    one, two = read_vd4rl(recorded[0]).frames, read_vd4rl(tmp_path / "84px").frames
    assert two.image is not None and two.image.shape == (501, 84, 84, 3)
    assert one.state is not None and two.state is not None
    assert np.array_equal(one.state[:501], two.state)
    assert np.array_equal(one.action[:501], two.action)


def test_command_records_and_draws_a_contact_sheet(tmp_path):
    from imageio.v3 import imread

    arguments = ["data", "collect", NAME, "--frames", "400", "--workers", "1"]
    result = CliRunner().invoke(main, [*arguments, "--data-dir", str(tmp_path)])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "collected" / f"{NAME}-400-seed0-64px-fast"
    assert "not V-D4RL" in result.output and (folder / "000000-random-501.npz").exists()
    sheet = imread(folder.with_name(f"{folder.name}.png"))
    assert sheet.shape[0] > 100 and sheet[..., :3].std() > 10
    result = CliRunner().invoke(main, ["data", "inspect", str(folder), "--no-plot"])
    assert result.exit_code == 0 and "501 of 64 x 64 x 3" in result.output
    result = CliRunner().invoke(
        main, ["data", "list", "--data-dir", str(tmp_path)], env={"COLUMNS": "200"}
    )
    assert "collected 400-seed0-64px-fast" in result.output
    result = CliRunner().invoke(main, [*arguments, "--rows", "5", "--data-dir", str(tmp_path)])
    assert result.exit_code != 0 and "--frames takes neither" in str(result.output)


def test_faithful_frames_have_shadows():
    def draw(settings):
        simulator = ControlSimulator("walker_walk", settings)
        simulator.reset(np.random.SeedSequence(0))
        return simulator.render(64)

    assert np.abs(draw(FAST).astype(int) - draw(FAITHFUL)).mean() > 1
