"""The `data` commands as a user runs them."""

import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli.data import data_group
from shared.data.catalog import CATALOG
from shared.errors import DataError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run("inspect", path)` gives the output with all white space as single spaces."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments, error=None):
        result = CliRunner().invoke(data_group, [str(x) for x in arguments])
        if error is None:
            assert result.exit_code == 0, result.output + repr(result.exception)
        else:
            assert isinstance(result.exception, DataError), result.output
            assert error in str(result.exception)
        return " ".join(result.output.split())

    return run


def test_collect_list_inspect(run, tmp_path):
    output = run("collect", "hopper-random", "--rows", 100, "--data-dir", tmp_path)
    path = tmp_path / "collected" / "hopper-random-100-seed0.hdf5"
    assert path.exists() and "collected, not D4RL" in output

    run("collect", "hopper-random", "--rows", 100, "--data-dir", tmp_path, error="--force")
    before = path.stat().st_mtime_ns
    run("collect", "hopper-random", "--rows", 100, "--data-dir", tmp_path, "--force")
    assert path.stat().st_mtime_ns > before

    output = run("list", "--data-dir", tmp_path)
    assert all(name in output for name in CATALOG)
    simulators = ("Hopper-v4", "Maze2D", "AntMaze", "Adroit", "FrankaKitchen")
    assert "collected 100-seed0" in output and all(name in output for name in simulators)

    lines = run("list", "--long", "--data-dir", tmp_path).splitlines()
    told = next(line for line in lines if " hopper-medium " in line)
    for words in ("3,234.3", "-20.3", "1,000", "gym_mujoco_v2/hopper_medium-v2.hdf5", "5bdf1bc4"):
        assert words in told, words
    assert any(
        "maze2d-umaze " in line and CATALOG["maze2d-umaze"].environment.quirk in line
        for line in lines
    )

    output = run("inspect", path)
    for words in (
        "hopper-random",
        "collected by this project, not D4RL",
        "score",
        "terminals",
        "no faults found",
        "sha256",
        "histogram: hopper-random-100-seed0-returns.png",
    ):
        assert words in output, words
    image = (tmp_path / "hopper-random-100-seed0-returns.png").read_bytes()
    assert image.startswith(b"\x89PNG") and len(image) > 5000


def test_collect_into_a_file(run, tmp_path):
    run("collect", "hopper-random", "--rows", 20, "--seed", 3, "--out", "mine.hdf5")
    assert (tmp_path / "mine.hdf5").exists() and not (tmp_path / "mine.hdf5.lock").exists()
    run("collect", "hopper-random", "--rows", 20, "--out", "mine.hdf5", error="exists already")


def test_unknown_names_and_offline(run):
    run("collect", "hoper-random", error="did you mean 'hopper-random'")
    run("fetch", "hopper-medium", error="LATENT_POLICIES_OFFLINE")
    run("inspect", "hopper-medium", error="No such file")


def test_inspect_lists_errors_and_warnings(run, write, arrays, tmp_path):
    arrays["actions"][3] = 2.0
    arrays["rewards"] = np.zeros(60, np.float64)
    path = write(arrays)
    output = run("inspect", path, "--plot", "out.png", error="1 error(s)")
    assert "error key 'actions' lies beyond ±1 in 1.7% of the rows" in output
    assert "warning key 'rewards' holds float64" in output
    assert "warning key 'rewards' is zero everywhere" in output
    assert "your own file" in output and (tmp_path / "out.png").exists()


def test_inspect_of_a_file_without_form(run, write, arrays):
    del arrays["rewards"]
    output = run("inspect", write(arrays), error="1 error(s)")
    assert "'rewards' is missing" in output and "histogram" not in output


def test_inspect_for_a_data_set_of_another_suite(run, write):
    generator = np.random.default_rng(0)
    arrays = {
        "observations": generator.normal(size=(50, 39)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (50, 28)).astype(np.float32),
        "rewards": np.ones(50, np.float32),
        "terminals": np.zeros(50, bool),
        "timeouts": np.arange(50) % 25 == 24,
    }
    output = run("inspect", write(arrays), "--env", "door-human", "--no-plot")
    assert "2 episodes (0 unfinished), 0 terminals, 2 timeouts" in output and "score" in output
