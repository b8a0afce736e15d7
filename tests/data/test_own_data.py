"""Data of one's own: shards and archives, tasks without a data set, packages that add some."""

import math
import sys

import gymnasium
import numpy as np
import pytest
from click.testing import CliRunner

from shared.cli.completion import complete_dataset
from shared.cli.data import data_group
from shared.data import catalog
from shared.data.convert import convert
from shared.data.files.source import form_of
from shared.environments.scores import normalized_score
from shared.environments.simulators import has_simulator, make_environment
from shared.errors import ConfigError, DataError
from shared.loading.request import load_data


@pytest.fixture
def shards(write, arrays):
    """`shards(**changes)`: a file an episode, in the order of names; changes are of the second."""

    def make(**changes):
        for k, name in enumerate("abc"):
            rows = {key: x[20 * k : 20 * k + 20] for key, x in arrays.items()}
            path = write(rows | (changes if k == 1 else {}), name=f"logs/{name}.hdf5")
        return path.parent

    return make


def test_a_folder_of_shards_is_one_set(shards, write, arrays):
    one, many = load_data(None, data=write(arrays)), load_data(None, data=shards())
    for a, b in zip(one.transitions, many.transitions, strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(one.episode, many.episode) and not many.warnings
    assert (many.name, many.source, many.environment) == ("logs", "yours", None)
    assert many.note == "the task is not named, so policies are trained but not scored"


def test_the_end_of_a_file_ends_its_episode(shards, arrays):
    """Without successors the last row of a file must not lead into the next file."""
    del arrays["timeouts"], arrays["next_observations"]
    data = load_data(None, data=shards())
    assert data.episode_lengths.tolist() == [20, 20, 20] and data.rows == 20 + 19 + 19
    assert "logs: 2 of 3 files end without a flag; read as timeouts." in data.warnings


def test_npz_archives_too(arrays, tmp_path):
    (tmp_path / "logs").mkdir()
    for k in range(3):
        rows = {key: x[20 * k : 20 * k + 20] for key, x in arrays.items()}
        np.savez(tmp_path / "logs" / f"{k}.npz", **rows)
    assert form_of(tmp_path / "logs") == "npz" and form_of(tmp_path / "logs" / "0.npz") == "npz"
    assert load_data(None, data=tmp_path / "logs").rows == 60
    assert load_data(None, data=tmp_path / "logs" / "0.npz").episode_lengths.tolist() == [20]


SCHEMAS = {
    "'observation' is .4,. a row, but .3,. in a.hdf5": {
        "observations": np.zeros((20, 4), np.float32),
        "next_observations": np.zeros((20, 4), np.float32),
    },
    "b.hdf5: key 'terminals' holds 2": {"terminals": np.full(20, 2)},
}


@pytest.mark.parametrize("words", SCHEMAS)
def test_shards_of_another_schema_are_refused(shards, words):
    with pytest.raises(DataError, match=words) as caught:
        load_data(None, data=shards(**SCHEMAS[words]))
    assert "b.hdf5" in str(caught.value)


def test_notes_of_many_files_are_told_once(shards, arrays):
    arrays["rewards"] = arrays["rewards"].astype(np.float64)
    (warning,) = load_data(None, data=shards()).warnings
    assert warning == (
        "logs: a.hdf5 and 2 more files: key 'rewards' holds float64; it is read as float32."
    )


def test_a_task_without_a_data_set_of_its_own(write, arrays):
    """Your own recording of the hopper is scored like any other."""
    generator = np.random.default_rng(0)
    arrays["observations"] = generator.normal(size=(60, 11)).astype(np.float32)
    arrays["actions"] = generator.uniform(-1, 1, (60, 3)).astype(np.float32)
    del arrays["next_observations"]
    path = write(arrays)
    data = load_data("hopper", data=path)
    assert (data.name, data.environment, data.note) == ("hopper", "hopper", "")
    assert data.mean_score == pytest.approx(normalized_score("hopper", data.mean_return))
    with pytest.raises(DataError, match="unknown data set 'hopper'; did you mean 'hopper-"):
        load_data("hopper")
    with pytest.raises(ConfigError, match="name a data set with --env"):
        load_data(None)


PACKAGE = """
import gymnasium
import numpy as np
from pathlib import Path
from shared.data.catalog import Entry, Environment

class Simulator(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.ones(3, np.float32), 1.0, False, False, {}

gymnasium.register("Arm-v0", Simulator, max_episode_steps=5)
NAN = float("nan")
ARM = Environment("arm", "robots:Arm-v0", NAN, NAN, 20, 3, 2)
REAL = Environment("real-arm", "", NAN, NAN, 20, 3, 2)
LOGS = Entry("real-arm-logs", "robots", str(Path(__file__).with_name("logs")), "", REAL, 60)
OTHER = Entry("other", "robots", "x", "", Environment("nowhere", "", 0.0, 1.0, 20, 3, 2), 60)
TEXT = "no entry"
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """`install(text)`: a real package with these entry points, found as an installed one is."""

    def install(text, name="my-robots"):
        place = tmp_path / name
        (place / f"{name.replace('-', '_')}-1.0.dist-info").mkdir(parents=True)
        information = next(place.iterdir())
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        (information / "METADATA").write_text(about)
        (information / "entry_points.txt").write_text(text)
        (place / "robots.py").write_text(PACKAGE)
        monkeypatch.syspath_prepend(str(place))
        forget()
        return place

    def forget():
        sys.modules.pop("robots", None)
        gymnasium.registry.pop("Arm-v0", None)
        catalog.environments.cache_clear()
        catalog.datasets.cache_clear()

    yield install
    monkeypatch.undo()
    forget()


GROUPS = "[latent_policies.environments]\n{}\n[latent_policies.datasets]\n{}\n"
GOOD = GROUPS.format("arm = robots:ARM\nreal-arm = robots:REAL", "real-arm-logs = robots:LOGS")


def test_a_package_adds_tasks_and_a_data_set(install, write, arrays, tmp_path, monkeypatch):
    place = install(GOOD)
    convert(write(arrays), place / "logs", form="minari")
    data = load_data("real-arm-logs", data_dir=tmp_path)
    assert (data.name, data.rows, data.source) == ("real-arm-logs", 60, "yours")
    assert data.mean_score is None and math.isnan(normalized_score("arm", 3.0))
    assert data.note == "'real-arm' has no simulator, so policies are trained but not scored"
    assert has_simulator("arm") and not has_simulator("real-arm") and not has_simulator(None)
    arm = make_environment("arm")
    arm.reset(seed=0)
    assert [arm.step(np.zeros(2))[3] for _ in range(5)] == [False] * 4 + [True]
    assert load_data("arm", data=place / "logs").note == ""
    names = [item.value for item in complete_dataset(None, None, "real")]
    assert names == ["real-arm-logs"]
    monkeypatch.setenv("COLUMNS", "150")
    output = CliRunner().invoke(data_group, ["list", "--data-dir", str(tmp_path)]).output
    assert "real-arm-logs" in output and "nothing" in output and "robots" in output
    output = CliRunner().invoke(data_group, ["inspect", "real-arm-logs", "--no-plot"]).output
    assert "real-arm" in output and "3 episodes" in output


BROKEN = {
    "environment 'hopper' of 'robots:ARM' hides one": ("hopper = robots:ARM", ""),
    "data set 'hopper-medium' of 'robots:LOGS' hides one": ("", "hopper-medium = robots:LOGS"),
    "data set 'x' of package 'my-robots' .'robots:NONE'. cannot be loaded .AttributeError": (
        *("", "x = robots:NONE"),
    ),
    "environment 'x' of package 'my-robots' .'gone:X'. cannot be loaded .ModuleNotFound": (
        *("x = gone:X", ""),
    ),
    "is not a shared.data.catalog.Entry; mend that package": ("", "x = robots:TEXT"),
    "environment 'arm' is registered as 'leg'; give it one name": ("leg = robots:ARM", ""),
    "'other' is of the environment 'nowhere', which is not registered": (
        *("", "other = robots:OTHER"),
    ),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_package_gives_one_sentence(install, words):
    install(GROUPS.format(*BROKEN[words]))
    with pytest.raises(ConfigError, match=words) as caught:
        catalog.lookup("hopper-medium")
    assert "\n" not in str(caught.value)
    assert "hopper-medium" in [item.value for item in complete_dataset(None, None, "hop")]


def test_two_packages_cannot_share_a_name(install):
    install(GROUPS.format("arm = robots:ARM", ""))
    install(GROUPS.format("arm = robots:ARM", ""), name="more-robots")
    with pytest.raises(ConfigError, match="environment 'arm' of 'robots:ARM' hides one that ex"):
        catalog.environments()


def test_a_simulator_that_does_not_fit(install):
    place = install(GROUPS.format("arm = robots:ARM", ""))
    (place / "robots.py").write_text(PACKAGE.replace("NAN, 20, 3, 2)", "NAN, 20, 7, 2)", 1))
    with pytest.raises(ConfigError, match=r"observes and acts in shapes \[\(3,\), \(2,\)\], but"):
        make_environment("arm")
    install(GROUPS.format("leg = robots:LEG", ""), name="legs")
    (place.parent / "legs" / "robots.py").write_text(
        PACKAGE + 'LEG = Environment("leg", "robots:Leg-v0", 0.0, 1.0, 20, 3, 2)\n'
    )
    with pytest.raises(ConfigError, match="'robots:Leg-v0' of 'leg' cannot be made"):
        make_environment("leg")
